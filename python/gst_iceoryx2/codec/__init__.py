"""Converts between frames and encoded video, with PyAV."""
