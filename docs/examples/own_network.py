"""A network of your own: three convolutions, and a mean over space in the place of a dense head."""

from torch import nn


class PooledNet(nn.Module):
    def __init__(self, shape, outputs, width=8):  # voxels along the axes; classes, or 1 for a number
        super().__init__()
        layers, before = [], 1
        for after in (width, 2 * width, 4 * width):
            layers += [nn.Conv3d(before, after, 3, padding=1), nn.BatchNorm3d(after), nn.ReLU(), nn.MaxPool3d(2)]
            before = after
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool3d(1)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(before, outputs))

    def forward(self, images):  # [n, 1, D, H, W] -> logits [n, outputs]
        return self.head(self.pool(self.features(images)))
