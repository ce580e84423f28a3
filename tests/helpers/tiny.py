"""Configurations of runs as small as can be."""

# Every test of the maps that draws at random without being asked to.
NO_DRAWS = {
    "agreement": {"surrogates": 0},
    "anatomy": {"surrogates": 0},
    "inference": {"permutations": 0, "replicates": 0},
}


def tiny(people: int = 16, **sections) -> dict:
    """Return the configuration of a phantom in two batches and two folds; `sections` are added, or take its places."""
    return {
        "name": "tiny",
        "torch_threads": 1,
        "cohort": {
            "source": "phantom",
            "target": "Gender",
            "labels": ["F", "M"],
            "phantom": {"people": people, "grid": "common"},
        },
        "images": {"subjects_per_job": people // 2},
        "folds": {"count": 2},
        "model": {"arguments": {"channels": 2}},
        "training": {"epochs": 2, "batch_size": 4, "learning_rate": 0.001},
    } | sections
