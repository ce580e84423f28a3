"""An attribution method of your own: gradient times input, taken to a power that keeps the sign."""

import torch


def gradient_times_input(network, images, targets, *, power=1.0):
    images = images.requires_grad_(True)
    score = (network(images) * targets).sum()
    gradient = torch.autograd.grad(score, images)[0]
    maps = (gradient * images).detach()[:, 0]
    return maps.sign() * maps.abs() ** power
