"""Maps of what a network looks at: one file per method, one registry.

Start at `voxplain.attribution.registry` (`METHODS`, `explain`); a workflow job calls
`voxplain.attribution.explaining.explain_people`. This file imports nothing, so that `choosing` stays free of torch.
"""

# What the registry holds, and which of its maps cannot be negative; said here too because the registry imports torch.
METHOD_NAMES = (
    *("gradcam", "hirescam", "guided_backprop", "perturbation"),
    *("lrp", "smoothgrad", "integrated_gradients", "occlusion", "noise"),
)
NON_NEGATIVE = frozenset({"perturbation", "noise"})
