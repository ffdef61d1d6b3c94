"""`python -m gst_iceoryx2` runs the command line if the environment's scripts are not on PATH."""

from gst_iceoryx2.cli import main

if __name__ == "__main__":
    main(prog_name="iox2-video")
