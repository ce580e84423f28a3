"""The page's fixed words: what each method shows and hides, and whom to cite."""

METHOD_NOTES = {
    "gradcam": (
        "The last convolution's activations, weighted by the mean gradient of each channel and brought to full size. "
        "Coarse by construction; with a dense head the channel weights lose the place, and in large tests with known "
        "truth it often failed to localise."
    ),
    "hirescam": (
        "The last convolution's activations times their gradients, voxel by voxel: as coarse as Grad-CAM, but it keeps "
        "the place that a dense head looks at."
    ),
    "guided_backprop": (
        "The gradient at the image, with negative parts cut at every ReLU on the way. Sharp, but much of its picture "
        "stays when the network's weights are made random."
    ),
    "perturbation": (
        "The smallest part of the image whose replacement, by the population's mean or a blur, takes the prediction "
        "away. It tests the network by changing its input; its picture depends on the replacement and on how strongly "
        "small, smooth masks are favoured."
    ),
    "lrp": "The prediction handed back layer by layer to the voxels. Its rules can draw structure that is not there.",
    "noise": "Where little noise is borne without harm to the prediction, the voxels matter.",
    "smoothgrad": "The gradient at the image, averaged over noisy copies of it.",
    "integrated_gradients": "The gradient summed on the way from a reference image to the person's.",
    "occlusion": "How the prediction changes when a box of the image is covered.",
}

PAPERS = (
    (
        "Kan M, Aliev R, Rudenko A, et al. (2020). Interpretation of 3D CNNs for Brain MRI Data Classification.",
        "2006.15969",
    ),
    (
        "Grigorescu I, Cordero-Grande L, Edwards AD, et al. (2019). Interpretable Convolutional Neural Networks for "
        "Preterm Birth Classification.",
        "1910.00071",
    ),
    (
        "Bintsi K-M, Baltatzis V, Hammers A, Rueckert D (2021). Voxel-level Importance Maps for Interpretable Brain "
        "Age Estimation.",
        "2108.05388",
    ),
    (
        "Eitel F, Melkonyan A, Ritter K (2022). Feature visualization for convolutional neural network models trained "
        "on neuroimaging data.",
        "2203.13120",
    ),
)

WEAK = (
    "Weak network: its score, one standard deviation for the worse, is no better than chance. A network that has not "
    "learned the difference has no true map, so do not interpret the maps below."
)
EXTERNAL = (
    "The network was brought from outside. Whether it was trained on these people is not known, so the score may be "
    "too good and the maps may be in-sample."
)
PHANTOM = (
    "These people are a phantom: made from a template brain, with differences planted on purpose. The page shows "
    "whether the methods find them and says nothing about real brains."
)
READING = (
    "A map says what a network used, not what differs between people, and not why. Other networks of the same score "
    "may use something else.",
    "The classes may differ in more than what is asked: head size alone predicts sex well, and orientation, scanner "
    "and motion leave traces. Nothing on this page corrects for them.",
    "Guided backpropagation and Grad-CAM fail published tests (Adebayo et al. 2018; Siegel et al. 2025). Trust a "
    "method here only as far as it found what was planted in a phantom, and where methods of different kinds agree.",
    "Folds share most of their training people, so the standard deviation over folds understates the uncertainty.",
)
