"""Maps of what a network looks at: one file per method, one registry.

Start at `voxplain.attribution.registry` (`METHODS`, `explain`); a workflow job calls
`voxplain.attribution.explaining.explain_people`. This file imports nothing, so that `choosing` stays free of torch.
"""

# What the registry holds, and what its maps mean; said here too because the registry imports torch.
METHOD_NAMES = (
    *("gradcam", "hirescam", "guided_backprop", "perturbation"),
    *("lrp", "smoothgrad", "integrated_gradients", "occlusion", "noise"),
)
NON_NEGATIVE = frozenset({"perturbation", "noise"})
# Maps that say what the person's own image brought: one place speaks for a class in some people and against it in
# others, or is active in the one class only. The rest of the signed ones say what more intensity would bring, which is
# alike in everybody.
CONTRIBUTIONS = frozenset({"gradcam", "hirescam", "guided_backprop", "lrp", "integrated_gradients", "occlusion"})
