"""What a run will take: CPU time by rule and stage, and room on the disk, from the config and the number of people.

Rough by design: the measured costs of `voxplain.running.costs`, in proportion to people, networks, steps and channels.
Stages that are switched off cost nothing. Only planning is needed for it, no image and no torch.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from voxplain.cohort.buckets import is_remote
from voxplain.running import costs
from voxplain.running.costs import at_channels

STAGES = ("images", "networks", "other models", "maps", "tests of maps", "population, tables, page")
IMAGES, NETWORKS, OTHERS, MAPS, TESTS, POPULATION = STAGES
USUAL_CHANNELS = 32


@dataclass(frozen=True)
class Cost:
    """What the jobs of one kind take.

    Attributes
    ----------
    stage : str
        One of `STAGES`.
    kind : str
        The rule, and the method for rules that run once a method; see `voxplain.running.watching.kind_of`.
    jobs : int
    seconds : float
        CPU time of all of them together, starting included.
    """

    stage: str
    kind: str
    jobs: int
    seconds: float


class Plan:
    """The numbers of a config that costs follow.

    Parameters
    ----------
    config : mapping
        With its defaults filled in.
    people : int
        Who take part.
    classes : sequence of str
        Empty for a regression.
    features : int, optional
        Columns of morphometry.
    """

    def __init__(self, config: Mapping, people: int, classes: Sequence[str], features: int | None = None):
        self.config, self.people, self.classes = config, people, list(classes)
        self.features = costs.HCP_FEATURES if features is None else features
        self.external = config["interpret"]["weights"] is not None
        self.folds = 1 if self.external else config["folds"]["count"]
        self.methods = config["maps"]["methods"]
        own = config["model"]["network"] != "VoxelCNN"  # whose arguments may mean anything
        self.channels = USUAL_CHANNELS if own else config["model"]["arguments"].get("channels", USUAL_CHANNELS)
        self.evaluation = config["evaluation"]
        self.root = (config["cohort"].get(config["cohort"]["source"]) or {}).get("root")
        thirds = 3 if config["population"]["tertiles"] and not classes else 0
        self.groups = (len(classes) or thirds) + 1
        self.batches = math.ceil(people / config["images"]["subjects_per_job"])
        self.parts = math.ceil(people / self.folds / config["maps"]["subjects_per_job"])

    @property
    def training(self) -> float:
        """Seconds of the training of one network, with the predictions of the fold that is left out."""
        training = self.config["training"]
        learning = self.people * (1 - 1 / max(self.folds, 2))
        held = training["validation_fraction"] if training["checkpoint"] == "best" else 0
        passes = training["epochs"] * learning * (1 - held + held * costs.FORWARD_SHARE)
        return at_channels(costs.TRAIN_S, self.channels) * (passes + costs.FORWARD_SHARE * (self.people - learning))

    def explained(self, method: str) -> int:
        """People whom a method explains."""
        return min(self.methods[method]["people"] or self.people, self.people)

    def of_a_map(self, method: str) -> float:
        """Seconds of one map."""
        settings = self.methods[method]
        if method == "noise":
            return at_channels(costs.MAP_S["guided_backprop"], self.channels)
        steps = math.prod(settings[key] / usual for key, usual in costs.STEPS.get(method, {}).items())
        if method == "occlusion":
            steps = (4 / settings["stride"]) ** 3
        # Of a method of the user's own nothing is known: a pass forward and backward is the least.
        return steps * at_channels(costs.MAP_S.get(method, costs.MAP_S["guided_backprop"]), self.channels)

    def networks_of(self, criterion: str) -> int:
        """Networks that a criterion looks at."""
        asked = self.evaluation[criterion]["networks"]
        return self.folds if asked is None else min(asked, self.folds)


def estimate(config: Mapping, people: int, classes: Sequence[str], features: int | None = None) -> list[Cost]:
    """Return what the jobs of a run take, by kind; parameters as of `Plan`."""
    plan = Plan(config, people, classes, features)
    stages = {
        IMAGES: _images,
        NETWORKS: _networks,
        OTHERS: _others,
        MAPS: _maps,
        TESTS: _tests,
        POPULATION: _population,
    }
    return [
        Cost(stage, kind, jobs, seconds + costs.START_S * jobs)
        for stage, parts in stages.items()
        for kind, jobs, seconds in parts(plan)
        if jobs
    ]


def by_stage(parts: Sequence[Cost]) -> dict[str, tuple[int, float]]:
    """Return jobs and CPU seconds of every stage that has jobs, and of maps method by method."""
    result: dict[str, tuple[int, float]] = {}
    for part in parts:
        named = f"{part.stage}: {part.kind.split()[-1]}" if part.stage == MAPS and " " in part.kind else part.stage
        jobs, seconds = result.get(named, (0, 0.0))
        result[named] = jobs + part.jobs, seconds + part.seconds
    return result


def wall_seconds(parts: Sequence[Cost], cores: int) -> float:
    """Return how long a run takes with some cores."""
    return elapsed(sum(part.seconds for part in parts), cores)


def elapsed(seconds: float, cores: int) -> float:
    """Return how long some CPU seconds take with some cores, which wait for one another now and then."""
    return seconds / (max(cores, 1) * costs.USED_SHARE)


def expected_seconds(parts: Sequence[Cost]) -> dict[str, float]:
    """Return the CPU seconds of one job by its kind."""
    return {part.kind: part.seconds / part.jobs for part in parts}


def room_needed(config: Mapping, people: int, classes: Sequence[str], batches_at_once: int = 2) -> dict[str, int]:
    """Return the bytes that a run leaves on the disk, by what they are; parameters as of `Plan`.

    Parameters
    ----------
    batches_at_once : int
        Batches of phantom volumes, or of images from a bucket, that lie on the disk at a time.
    """
    plan, phantom = Plan(config, people, classes), config["cohort"].get("phantom") or {}
    room = {"images": people * costs.IMAGE_BYTES}
    room["maps"] = sum(plan.explained(method) for method in plan.methods) * costs.MAP_BYTES
    if again := _repeats(plan):
        tested = min(plan.evaluation["reproducibility"]["people"], people) * plan.networks_of("reproducibility")
        shares = [min(tested / plan.folds, plan.explained(method)) for method in plan.methods if method != "noise"]
        room["maps of other networks"] = int(sum(again.values()) * sum(shares) * costs.MAP_BYTES)
    if config["cohort"]["source"] == "phantom" and phantom.get("grid") == "hcp":
        kept = (
            people if phantom["keep_volumes"] else min(people, batches_at_once * config["images"]["subjects_per_job"])
        )
        room["phantom's volumes"] = kept * costs.VOLUME_BYTES
    if is_remote(plan.root):
        room["images of a bucket, for a while"] = (
            min(people, batches_at_once * config["images"]["subjects_per_job"]) * costs.BUCKET_BYTES
        )
    return room | {"everything else": costs.REST_BYTES}


def _images(plan: Plan) -> Iterator[tuple[str, int, float]]:
    people, cohort = plan.people, plan.config["cohort"]
    reading = costs.READ_S
    if cohort["source"] == "phantom":
        small = cohort["phantom"]["grid"] == "common"
        reading = costs.READ_COMMON_S if small else costs.READ_PHANTOM_S
        yield "make_people", plan.batches, people * (costs.PHANTOM_COMMON_S if small else costs.PHANTOM_PERSON_S)
        yield "make_parcels", 3, costs.PHANTOM_ONCE_S
    reading += costs.ALIGN_S[plan.config["images"]["align"]]
    yield "downsample", plan.batches, people * reading
    yield "stack_images", 4, people * costs.STACK_PERSON_S


def _networks(plan: Plan) -> Iterator[tuple[str, int, float]]:
    config, people = plan.config, plan.people
    if plan.external:
        yield "import_network", 1, people * costs.FORWARD_SHARE * at_channels(costs.TRAIN_S, plan.channels)
    else:
        yield "train_fold", plan.folds, plan.folds * plan.training
        runs = config["statistics"]["permutations"] + config["folds"]["compare_ungrouped"]
        yield "cross_validate", runs, runs * plan.folds * plan.training
        if config["features"]["first_layer"] and len(plan.classes) == 2:
            yield "describe_first_layer", plan.folds, people * at_channels(costs.FIRST_LAYER_S, plan.channels)
    seen = config["features"]["visualisation"]
    images = len(plan.classes or [1]) + seen["channels"] * len(seen["layers"])
    networks = min(seen["folds"], plan.folds)
    step = at_channels(costs.VISUALISATION_STEP_S, plan.channels)
    yield "visualise_features", networks, networks * images * seen["steps"] * step


def _others(plan: Plan) -> Iterator[tuple[str, int, float]]:
    models, people = plan.config["baselines"]["models"], plan.people
    schemes = 1 + plan.config["folds"]["compare_ungrouped"]
    if "svm" in models:
        sample = min(models["svm"].get("people") or people, people)
        yield "compute_voxel_kernel", 1, costs.KERNEL_PAIR_S * people * sample
        yield "fit_voxel_svm", plan.folds * schemes, plan.folds * schemes * costs.SVM_FOLD_S
    fits = [costs.MORPHOMETRY_S[model] for model in models if model != "svm"]
    fold = sum(once + each * people * plan.features for once, each in fits)
    yield "fit_morphometry", len(fits) * plan.folds * schemes, plan.folds * schemes * fold


def _maps(plan: Plan) -> Iterator[tuple[str, int, float]]:
    if "noise" in plan.methods:
        learning = plan.people * (1 - 1 / max(plan.folds, 2)) * plan.methods["noise"]["epochs"]
        scale = at_channels(costs.TRAIN_S, plan.channels) / at_channels(costs.TRAIN_S, 8)
        yield "train_noise", plan.folds, plan.folds * learning * costs.NOISE_TRAIN_S * scale
    for method in plan.methods:
        yield f"explain {method}", plan.folds * plan.parts, plan.explained(method) * plan.of_a_map(method)


def _repeats(plan: Plan) -> dict[str, int]:
    """Return how often networks are made once more, by what changes; none where that is not tested."""
    asked = plan.evaluation["reproducibility"]
    repeats = {change: asked[change] for change in ("seed", "dropout", "folds", "weights", "shuffled")}
    return repeats if asked["people"] and set(plan.methods) - {"noise"} else {}


def _tests(plan: Plan) -> Iterator[tuple[str, int, float]]:
    methods, tests, people = plan.methods, plan.evaluation, plan.people
    known = tests["localization"]["truth"] or plan.config["cohort"]["source"] == "phantom"
    if known and methods:
        yield "score_localization", 1, sum(map(plan.explained, methods)) * costs.LOCALIZATION_PERSON_S
    asked, networks = tests["randomization"]["people"], plan.networks_of("randomization")
    for method in [name for name in methods if name != "noise" and asked]:
        maps = min(asked, plan.explained(method)) * costs.RANDOMIZATION_MAPS
        yield f"randomize_network {method}", 1, costs.RANDOMIZATION_S * networks + maps * plan.of_a_map(method)
    asked = min(tests["faithfulness"]["people"], people)
    if asked and methods:
        answers = asked * len(methods) * len(tests["faithfulness"]["replacements"])
        yield "measure_faithfulness", plan.folds, answers * at_channels(costs.FAITHFULNESS_S, plan.channels)
    asked = tests["masked_accuracy"]["people"]
    for method in methods if asked != 0 else ():
        masks = plan.groups * (tests["masked_accuracy"]["draws"] + 1) / 20
        seconds = min(asked or people, people) * masks * at_channels(costs.MASKED_S, plan.channels)
        yield f"measure_masked_accuracy {method}", 1, seconds
    retraining = tests["retraining"]
    maps = len(methods) + retraining["draws"]
    networks = plan.networks_of("retraining") * len(retraining["shares"]) * len(retraining["modes"]) * maps
    if methods and networks:
        yield "retrain_masked", plan.networks_of("retraining") * maps, networks * plan.training
    yield from _again(plan)
    for name in ("agreement", "anatomy"):
        if tests[name]["surrogates"] and len(methods) > (name == "agreement"):
            yield f"measure_{name}", 2, len(methods) * costs.SURROGATES_S * tests[name]["surrogates"] / 100
    if methods and tests["anatomy"]["surrogates"]:
        yield "map_anatomy", 1, people * costs.ANATOMY_PERSON_S
    if tests["inference"]["permutations"] or tests["inference"]["replicates"]:
        times = max(tests["inference"]["permutations"], tests["inference"]["replicates"]) / 1000
        for method in methods:
            each = costs.INFERENCE_S + plan.explained(method) * costs.INFERENCE_PERSON_S
            yield f"infer_population {method}", 1, times * each


def _again(plan: Plan) -> Iterator[tuple[str, int, float]]:
    repeats, networks = _repeats(plan), plan.networks_of("reproducibility")
    trained = sum(count for change, count in repeats.items() if change != "weights")
    if not repeats or not networks:
        return
    yield "train_again", trained * networks, trained * networks * plan.training
    people = min(plan.evaluation["reproducibility"]["people"], plan.people) * networks / plan.folds
    for method in [name for name in plan.methods if name != "noise"]:
        maps = sum(repeats.values()) * min(people, plan.explained(method))
        yield f"explain_again {method}", sum(repeats.values()) * networks, maps * plan.of_a_map(method)
        yield f"measure_reproducibility {method}", 1, maps * costs.REPRODUCIBILITY_S


def _population(plan: Plan) -> Iterator[tuple[str, int, float]]:
    for method in plan.methods:
        maps = plan.groups * len(plan.config["population"]["statistics"])
        yield (
            f"summarise_maps {method}",
            3 * maps,
            plan.explained(method) * costs.SUMMARY_PERSON_S + costs.GROUP_S * maps,
        )
    yield "write_page", costs.TABLES_JOBS, costs.TABLES_S
