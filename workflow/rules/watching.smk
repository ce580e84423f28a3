# Purpose: what is said while a run goes on and when it has ended; through Snakemake's logger, so that --quiet holds.
import logging
import sys

from snakemake.logging import logger

WATCHED = []


def watch_run():
    """Begin to count the jobs of this run, and to say how far it is."""
    from collections import Counter

    from voxplain.running.estimate import estimate, expected_seconds
    from voxplain.running.watching import Calm, Listener, Watch, kind_of

    if CHECKING:
        return
    jobs = list(workflow.dag.needrun_jobs())
    try:
        expected = expected_seconds(estimate(config, len(found()), CLASSES))
    except Exception as error:  # what is only said ends no run
        logger.warning(f"How long the run takes is not known: {type(error).__name__}: {error}")
        expected = {}
    kinds = Counter(kind_of(job.rule.name, job.wildcards_dict) for job in jobs if not job.is_norun)
    # On a cluster as many jobs as --jobs says; Snakemake refuses to tell the cores there.
    places = workflow.resource_settings.nodes or workflow.resource_settings.cores or 1
    watch = Watch(kinds, expected, places, logger.info)
    WATCHED.append(watch)
    for handler in list(logger.handlers):
        if getattr(handler, "stream", None) in (sys.stderr, sys.stdout) and handler.stream.isatty():
            if not (workflow.output_settings.verbose or workflow.output_settings.printshellcmds):
                handler.addFilter(Calm())
    logger.addHandler(Listener(watch))
    watch.keep_talking()


def close_run(success):
    """Say where the page is, how long it took, what was warned of and what failed."""
    from voxplain.running.closing import closing_message

    for watch in WATCHED:
        page = f"{RESULTS}/report/index.html"
        asked = any(page == str(path) for job in workflow.dag.jobs for path in job.output)
        say = logger.info if success else logger.error
        say(f"\n{closing_message(watch, success, page if asked else None, RESULTS)}")
