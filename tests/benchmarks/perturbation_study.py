"""A network trained on synthetic brains, and the people whose perturbation maps are timed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

THREADS, SEED = 2, 1


@dataclass(frozen=True)
class Size:
    """How large the network is, how long it learns, how many people ours explains at a time, how often."""

    shape: tuple[int, int, int] = (58, 70, 58)
    channels: int = 8
    learned_from: int = 96
    epochs: int = 8
    people: int = 8
    repetitions: int = 2
    steps: int = 300  # of the peer, as published


def brains(size: Size, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return smooth synthetic brains, float32 [n, 1, D, H, W], and classes; class 1 is brighter in five places."""
    from scipy.ndimage import gaussian_filter

    anatomy, generator = np.random.default_rng(0), np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in size.shape), indexing="ij"))
    inside = (grid**2).sum(axis=0) < 0.8
    common = gaussian_filter(anatomy.normal(size=size.shape), 2.0)
    places = anatomy.uniform(-0.5, 0.5, size=(5, 3))
    planted = sum(np.exp(-((grid - place[:, None, None, None]) ** 2).sum(axis=0) / 2 / 0.08**2) for place in places)
    classes = np.arange(count) % 2
    images = np.empty((count, 1, *size.shape), dtype=np.float32)
    for image, label in zip(images, classes, strict=True):
        own = gaussian_filter(generator.normal(size=size.shape), 2.0)
        fine = 0.3 * generator.normal(size=size.shape)
        image[0] = inside * (common / common.std() + 0.7 * own / own.std() + fine + label * planted)
    return images, classes


def prepare(folder: str, size: Size, device: str) -> float:
    """Train a network, write what the contenders read, and return its accuracy for the people who are explained."""
    import torch
    from safetensors.torch import save_file
    from torch.nn.functional import cross_entropy

    from voxplain.models.voxel_cnn import VoxelCNN

    torch.set_num_threads(THREADS)
    torch.manual_seed(SEED)
    images, classes = (torch.from_numpy(array) for array in brains(size, size.learned_from, 1))
    model = VoxelCNN(shape=size.shape, channels=size.channels).to(device)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(size.epochs):
        for some in torch.randperm(len(images)).split(16):
            adam.zero_grad()
            cross_entropy(model(images[some].to(device)), classes[some].to(device)).backward()
            adam.step()
    model = model.cpu().eval()
    explained, truth = brains(size, size.people, 2)
    with torch.no_grad():
        answers = torch.cat([model(part) for part in torch.from_numpy(explained).split(4)]).argmax(dim=1)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, Path(folder) / "weights.safetensors")
    np.savez(Path(folder) / "people.npz", images=explained, mean=images.mean(dim=0)[0].numpy())
    return float((answers.numpy() == truth).mean())


def prepared(folder: str, size: Size):
    """Return the network in evaluation mode, the images [n, 1, D, H, W] and their mean [D, H, W]."""
    import torch
    from safetensors.torch import load_file

    from voxplain.models.voxel_cnn import VoxelCNN

    torch.set_num_threads(THREADS)
    model = VoxelCNN(shape=size.shape, channels=size.channels)
    model.load_state_dict(load_file(Path(folder) / "weights.safetensors"))
    with np.load(Path(folder) / "people.npz") as file:
        return model.eval(), torch.from_numpy(file["images"]), torch.from_numpy(file["mean"])
