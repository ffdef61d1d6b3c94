"""Video4Linux2 cameras: what they are, what they offer, their controls, and capture into shared memory."""
