"""Feed a live stream to PyTorch in batches. Each DataLoader worker has its own subscriber.

Needs PyTorch: pip install torch
Usage: python torch_dataset.py [SERVICE [WORKERS]]
"""

import sys

from gst_iceoryx2.video import DEFAULT_SERVICE, VideoFrameSubscriber

try:
    import torch
    from torch.utils.data import DataLoader, IterableDataset, get_worker_info
except ImportError as exc:
    sys.exit(f"this example needs PyTorch: pip install torch ({exc})")


class LiveFrames(IterableDataset):
    def __init__(self, service: str) -> None:
        self.service = service

    def __iter__(self):
        info = get_worker_info()
        workers, mine = (info.num_workers, info.id) if info else (1, 0)
        with VideoFrameSubscriber(self.service) as subscriber:
            for frame in subscriber:
                if (frame.sequence or 0) % workers == mine:
                    # Tensors are always writable, so they need a copy. to_rgb() returns one.
                    yield torch.from_numpy(frame.to_rgb()).permute(2, 0, 1)
                del frame


if __name__ == "__main__":
    service, workers = (*sys.argv[1:], *[DEFAULT_SERVICE, "2"][len(sys.argv) - 1 :])
    # Not "fork", because a subscriber cannot be used in a forked child.
    context = "spawn" if int(workers) else None
    for batch in DataLoader(LiveFrames(service), 8, num_workers=int(workers), multiprocessing_context=context):
        print(tuple(batch.shape), f"mean {batch.float().mean():.1f}", flush=True)
