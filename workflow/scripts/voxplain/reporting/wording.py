"""The page's fixed words: what each method shows and hides, and how numbers are read."""

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
    "noise": (
        "Where little noise is borne without harm to the prediction, the voxels matter. Independent noise in every "
        "voxel is unlike any change of a brain: where a network feels it is not always where people differ."
    ),
    "smoothgrad": "The gradient at the image, averaged over noisy copies of it.",
    "integrated_gradients": "The gradient summed on the way from a reference image to the person's.",
    "occlusion": "How the prediction changes when a box of the image is covered.",
}

JOINED = "The map of all people is that of {}"
CONTRIBUTIONS_CANCEL = (
    ": what a place brings speaks for one side in some people and against it in others, which a mean would cancel, "
    "while what is alike in all people would fill it."
)
RELATIVES_UNKNOWN = (
    "Families are not known: relatives may stand among training and test people alike, which flatters the score."
)
RELATIVES_SPLIT = (
    "Families are known, but folds.grouped is false: relatives may stand among training and test people alike, which "
    "flatters the score."
)
_NO_TRUE_MAP = "A network that has not learned its task has no true map, so do not interpret the maps below."
WEAK = f"Weak network: its score, one standard deviation for the worse, is no better than chance. {_NO_TRUE_MAP}"
WEAK_IN_ONE_FOLD = f"Weak network: its score is no better than chance. {_NO_TRUE_MAP}"
EXTERNAL = (
    "The network was brought from outside. Whether it was trained on these people is not known, so the score may be "
    "too good and the maps may be in-sample."
)
PHANTOM = (
    "These people are a phantom: made from a template brain, with differences planted on purpose. The page shows "
    "whether the methods find them and says nothing about real brains."
)
SIZE = "Head size alone does as well, within one standard deviation: the maps may show little more than head size."
INTERVALS = (
    "Intervals are those of the corrected resampled t-test (Nadeau and Bengio 2003) over folds. It was made for "
    "repeated random splits; for cross-validation in folds it is a heuristic. They are cut where a score ends."
)
DIFFERENCES = (
    "Differences to the CNN and their p-values come from the same test, on the people that both models predicted in "
    "the same fold; they are not corrected for the number of models."
)
CALIBRATION = (
    "Well calibrated means: of the people to whom a model gives a probability of 0.8, eight in ten are of that class. "
    "A slope below 1 says that a model is too sure of itself."
)
CALIBRATION_OF_SVM = (
    "An SVM has no probabilities of its own; they are fitted to its decision values within the training people."
)
CALIBRATION_OF_VALUES = (
    "Well calibrated means: the people for whom a model predicts 40 have a mean of 40. A slope below 1 says that its "
    "predictions lie too far apart."
)
PERMUTATIONS = (
    "With p = (1 + the number of shufflings that do at least as well) / (1 + the number of shufflings), the smallest "
    "p that could come out is one over one more than the shufflings."
)
ALONE = "What one number, without any image, reaches on the same folds."
MATCHED = (
    "Pairs of one person of each class with nearly the same head size, both from the same test fold. The models are "
    "those of everybody and may still use head size; among these pairs it can hardly help them, as the row of head "
    "size alone should show. Few pairs make a wide interval. The scores on everybody beside them can differ from "
    "those of the models above: they are over all people from among whom the pairs were drawn, in the folds that have "
    "pairs (the AUC weighted by pairs), and not means over every fold."
)
RESIDUALISED = (
    "Head size was regressed out of every feature with slopes learned on the training people of each fold, and the "
    "models were trained anew. Only the linear part of it is gone, but with it goes whatever else follows the target "
    "in step with head size, even where the images do not show head size: a fall alone does not prove that a model "
    "used it. The CNN was not trained anew."
)
PAIRS_ARE_FAIRER = "The matched pairs are the fairer test."
CORRELATION = (
    "Within a class, head size says nothing about the class. A correlation other than 0 shows that the network's "
    "answer follows head size nevertheless."
)
CORRELATION_OF_VALUES = "A correlation other than 0 shows that what the network answers goes along with head size."
PERMUTATION = (
    "Permutation importance is measured on people who were held out. Features that say the same share it: one that "
    "ranks low may still matter. A feature whose importance is not above 0 is not drawn."
)
FROM_TRAINING = "Taken from the training people: {}; what is 0 is not drawn."
MORPHOMETRY_AND_MAPS = (
    "A point is a region whose name occurs among the features. The share of a map grows with the size of a region, and "
    "neighbours resemble each other, so that no p-value stands beside the correlation. Where few regions matter, the "
    "ranks of all the others are noise on both sides and the correlation is near 0: look at the outermost points."
)
FIRST_LAYER = (
    "Mean activation and entropy of every feature after the network's first layer, in people whom that network had "
    "not seen; Welch's t-test with a false discovery rate of 5 % over the features of one fold. Every network numbers "
    "its features by itself, so folds are shown side by side and never pooled."
)
LOCALIZATION = (
    "Chance of a population map: the same map held against the truth, flipped and moved to other places of the brain "
    "(mean, and 95th percentile), p being the share of places that score as high. Maps are smooth, so that chance may "
    "lie well apart from 0.50. Chance of single people's maps is that of random voxels. In the truth: share of the map "
    "that lies there; peak in the truth: whether its strongest voxel does. The map after training on shuffled labels "
    "is a control: what it finds, it finds without having learned where the truth lies."
)
RANDOMIZATION = (
    "After Adebayo et al. 2018. Likeness is Spearman's rho inside the brain, of absolute values for maps without "
    "signs. Absolute values of maps that multiply with the image are alike by chance already, at about 0.5, and the "
    "structural similarity (SSIM) of maps that are near 0 almost everywhere is high by chance too: both are drawn, "
    "and neither is judged by."
)
FAITHFULNESS = (
    "A difference is positive where the order of the map is the more faithful one; p-values come from Wilcoxon's "
    "signed-rank test over people and are not corrected for the number of methods. Images with voxels taken away are "
    "unlike any that the network has seen, so that part of what it answers is surprise; that is why random order and "
    "brightness stand beside it."
)
VERDICTS = (
    "Criteria ask for different things and do not weigh the same: a count of passed ones is no grade. A method that "
    "fails the randomisation test or does not find a known truth must not be interpreted, whatever else it passes; one "
    "that passes everything here may still be wrong about what these tests do not ask."
)
MASKED = (
    "Images times a map, or with all but its strongest voxels dark, shown to networks that were trained on whole "
    "images; random masks have the same volume and smoothness. It shows whether the answer can be had from what a map "
    "names. Such images are unlike any that the network has seen, so that a low score may be surprise and not lack of "
    "information: training anew is the fairer test."
)
FEW_MASKS = "There are too few random masks for p to reach the level of the verdict, so that no verdict is given."
RETRAINING = (
    "Networks trained anew on images without the voxels that a map names, or with these alone (after Hooker et al. "
    "2019), and on as many voxels of random maps of equal smoothness. It shows whether what the map names is needed, "
    "or enough. It cannot show that other voxels are not: what one place tells, another may tell too, and then nothing "
    "is lost by taking the first away. p comes from the corrected resampled t-test over folds and is not corrected for "
    "the number of methods and shares."
)
REPRODUCIBILITY = (
    "The same people's maps from networks that were trained once more with one thing changed. Maps that are as alike "
    "as maps of two different people tell nothing about single people. A network that learned nothing has nothing to "
    "reproduce, so look at the scores of the networks first; with shuffled labels maps should differ, and what stays "
    "alike then is anatomy and architecture, not learning. The intraclass correlation (ICC) is over people of all "
    "classes together: a difference between the classes makes it larger. Maps that agree may be wrong together."
)
AGREEMENT = (
    "Smooth maps are alike by chance: beside each pair stands what random maps with the values and the smoothness of "
    "either reach. p is not corrected for the number of pairs. Methods that agree may be wrong together, above all "
    "those that are made alike. The paper's agreement, in the table of masks, counts voxels and is not Dice."
)
INTERVALS_OF_REGIONS = (
    "Intervals come from a bootstrap over families: how far shares and ranks move when other people are drawn, the "
    "networks being the same. Shares rest on absolute values, so that with few people the interval lies nearer to the "
    "mean of all regions than the share itself; ranks suffer less."
)
REGIONS_TESTED = (
    "p and q belong to the test of the region's mean relevance, whichever map the row is of: {}. p is corrected for "
    "all regions of the atlas (FWE), q is a false discovery rate."
)
INFERENCE = (
    "Permutation tests of people's maps at every voxel, with p corrected for all voxels (the largest |t| of every "
    "permutation); families are exchanged as wholes. They say that a result is not chance among people like these, the "
    "networks being given: they do not cover other networks, nor say that what a map shows is true. Maps of what was "
    "predicted, or of the true class, differ between classes by construction: there the difference is no finding."
)
ANATOMY = (
    "The maps beside a voxel-wise t-test of the images themselves, which knows no network. Agreement is neither good "
    "nor bad: a network may rightly use patterns that no single voxel shows, and may leave out what is redundant. A "
    "map that only repeats the t-test needed no network; one that has little in common with it shows something that "
    "has to be explained. Random maps have the values and the smoothness of the map."
)
AGE_GAP = (
    "Predictions are pulled towards the mean, so that the raw difference follows the truth itself. Corrected: without "
    "the line of predictions over truth, fitted to the held-out people of the other folds. The corrected difference "
    "knows the truth and says nothing about how well it is predicted."
)
VISUALISATION = (
    "Each input was changed step by step until it excited an output or a channel most, under a penalty on its size. "
    "The percentile is the share of real people who are less extreme: at 100 nobody in the cohort reaches as much. How "
    "far an input goes depends on the penalty, while people come as they are, so the second percentile compares the "
    "response per unit norm: what an input changes, for its size. A low first percentile need not mean failure."
)
NOISE_UTILITY = (
    "The noise of the map's method was put on all brain voxels but some: the ones that the map calls most important, "
    "or as many at random. With a map that is true the networks do nearly as well as without noise when few voxels are "
    "clean; they do not with a random choice of as many."
)
NOISE_IN_SAMPLE = "The network came from outside, and its noise model learned from the people that it is tested on."
RELATIVES = (
    "The same models on folds that keep relatives together, and on folds that let them stand among training and test "
    "people alike. The folds differ, so nothing is paired and nothing is tested: the standard deviations over folds "
    "say how large a difference chance makes."
)
FIGURES = (
    "For a paper: every picture of this page lies in the folder figures of the run, as PDF and as SVG or PNG, with the "
    "numbers behind it as TSV; all tables lie in the folder tables."
)
READING = (
    "A map says what a network used, not what differs between people, and not why. Other networks of the same score "
    "may use something else.",
    "Guided backpropagation and Grad-CAM fail published tests (Adebayo et al. 2018; Siegel et al. 2025). Trust a "
    "method here only as far as it found what was planted in a phantom and passes the tests of this page. Methods that "
    "agree may be wrong together.",
)
SHARED = "Folds share most of their training people, so the standard deviation over folds understates the uncertainty."
WIDENED = "The 95 % intervals are widened for that, by a rule that is a heuristic for cross-validation."
UNMEASURED = (
    "People may differ in more than what is asked: head size alone predicts sex well, and orientation, scanner "
    "and motion leave traces. Nothing on this page corrects for them."
)
MEASURED = (
    "People may differ in more than what is asked: orientation, scanner and motion leave traces that nothing on "
    "this page corrects for. Head size is measured in a section of its own; the maps are not corrected for it."
)


def reading(size_known: bool, folds: bool, intervals: bool) -> tuple[str, ...]:
    """Return the cautions for a run: whether head size was looked at, there are several folds, and intervals."""
    spread = (f"{SHARED} {WIDENED}" if intervals else SHARED,) if folds else ()
    return (READING[0], MEASURED if size_known else UNMEASURED, *READING[1:], *spread)
