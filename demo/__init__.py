"""`make demo`: a real clip from one process to two others, and what arrives there. Starts in `__main__`."""
