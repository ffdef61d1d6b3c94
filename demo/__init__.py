"""`make demo`: plays a video clip in one process to two other processes. The entry point is `__main__`."""
