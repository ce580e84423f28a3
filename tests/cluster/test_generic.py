"""profiles/generic with stand-ins for SGE, PBS and LSF: commands that run the job here and answer as those do."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tiny import tiny

ROOT = Path(__file__).resolve().parents[2]
PROFILE = ROOT / "profiles" / "generic"
# Runs the script, its last argument, in the background and keeps its exit status; prints an id.
SUBMIT = """#!/bin/bash
id=$(( $(ls "$STATE" | grep -c args) + 1 ))
echo "$@" >"$STATE/$id.args"
( "${!#}" >"$STATE/$id.log" 2>&1; echo $? >"$STATE/$id.tmp"; mv "$STATE/$id.tmp" "$STATE/$id.code" ) >/dev/null 2>&1 &
printf '%s\\n' "ANSWER"
"""
SYSTEMS = {
    "SGE": {
        "qsub": SUBMIT.replace("ANSWER", "$id"),
        "qstat": '#!/bin/sh\n[ -e "$STATE/$2.code" ] && exit 1\necho "job_number: $2"\n',
        "qacct": '#!/bin/sh\nprintf "failed       0    \\nexit_status  %s\\n" "$(cat "$STATE/$2.code")"\n',
        "qdel": "#!/bin/sh\n",
    },
    "PBS": {
        "qsub": SUBMIT.replace("ANSWER", "$id.server"),
        "qstat": """#!/bin/sh
for id; do :; done
code=$STATE/${id%.server}.code
if [ ! -e "$code" ]; then printf 'Job Id: %s\\n    job_state = R\\n' "$id"
elif [ "$1" = -x ]; then printf 'Job Id: %s\\n    job_state = F\\n    Exit_status = %s\\n' "$id" "$(cat "$code")"
else exit 35; fi
""",
        "qdel": "#!/bin/sh\n",
    },
    "LSF": {
        "bsub": SUBMIT.replace("ANSWER", "Job <$id> is submitted to queue <cpu>."),
        "bjobs": """#!/bin/sh
for id; do :; done
if [ ! -e "$STATE/$id.code" ]; then echo RUN
elif [ "$(cat "$STATE/$id.code")" = 0 ]; then echo DONE
else echo EXIT; fi
""",
        "bkill": "#!/bin/sh\n",
    },
}
OPTIONS = {
    "SGE": ["-pe smp 1", "mem_free=1536M,h_rt=0:60:0", "-q cpu"],
    "PBS": ["ncpus=1,mem=1536mb,walltime=60:00", "-q cpu"],
    "LSF": ["-n 1", "rusage[mem=1536]", "-W 60", "-q cpu"],
}
CONFIG = tiny(people=8, training={"epochs": 1, "batch_size": 4, "checkpoint": "last"})

needs_plugin = pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_cluster_generic") is None,
    reason="needs envs/requirements-cluster.txt",
)


def profile_of(system, folder):
    """Copy the profile with the lines of one system in force, as a user would."""
    shutil.copytree(PROFILE, folder)
    lines, found = [], None
    for line in (folder / "config.yaml").read_text().splitlines():
        title = re.match(r"# (SGE|PBS|LSF)\b", line)
        found = title[1] if title else found
        command = re.match(r"(?:# )?(cluster-generic-(?:submit|cancel)-cmd: .*)", line)
        if command:
            line = command[1] if found == system else f"# {command[1]}"
        lines.append(line)
    (folder / "config.yaml").write_text("\n".join(lines) + "\n")
    commands = [line for line in lines if line.startswith("cluster-generic-")]
    assert len(commands) == 3, commands
    return folder


@pytest.fixture
def cluster(tmp_path):
    """Commands of a system on the PATH, and what they keep."""

    def of(system):
        for name in ("bin", "state"):
            (tmp_path / name).mkdir()
        for name, text in SYSTEMS[system].items():
            (tmp_path / "bin" / name).write_text(text)
            (tmp_path / "bin" / name).chmod(0o755)
        # Waiting for an answer that never comes must not last a minute.
        (tmp_path / "bin" / "sleep").write_text("#!/bin/sh\nexit 0\n")
        (tmp_path / "bin" / "sleep").chmod(0o755)
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "STATE": str(tmp_path / "state"), "PYTHONDONTWRITEBYTECODE": "1"}

    return of


def status(job, environment):
    done = subprocess.run(
        [PROFILE / "status.sh", job], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_status_of_jobs_is_told(cluster, tmp_path, system):
    environment = cluster(system)
    submit = "bsub" if system == "LSF" else "qsub"
    release = tmp_path / "release"
    os.mkfifo(release)
    expected = {"exit 0": "success\n", "exit 7": "failed\n", "kill -9 $$": "failed\n"}
    jobs = {}
    for number, line in enumerate(expected):
        script = tmp_path / f"{number}.sh"
        script.write_text(f"#!/bin/sh\nread line <{release}\n{line}\n")
        script.chmod(0o755)
        done = subprocess.run([submit, script], env=environment, capture_output=True, text=True, check=True)
        jobs[line] = re.sub(r"^Job <(\d+)>.*", r"\1", done.stdout.strip())
        assert status(jobs[line], environment) == "running\n"
        with open(release, "w") as file:
            file.write("go\n")
        for _ in range(200):
            if (tmp_path / "state" / f"{number + 1}.code").exists():
                break
            time.sleep(0.05)
        assert status(jobs[line], environment) == expected[line]


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_job_that_nobody_knows_has_failed(cluster, tmp_path, system):
    environment = cluster(system)
    name = "bjobs" if system == "LSF" else "qstat"
    for command in {name, "qacct"} & set(SYSTEMS[system]):
        (tmp_path / "bin" / command).write_text("#!/bin/sh\nexit 1\n")
    assert status("77", environment) == "failed\n"


def test_a_job_of_sge_in_the_error_state_has_failed(cluster, tmp_path):
    environment = cluster("SGE")
    (tmp_path / "bin" / "qstat").write_text("#!/bin/sh\necho 'job_number: 5'\necho 'error reason    1:  no folder'\n")
    assert status("5", environment) == "failed\n"


@needs_plugin
@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_network_is_trained_through_the_commands_of_each_system(cluster, tmp_path, system):
    environment = cluster(system)
    profile = profile_of(system, tmp_path / "profile")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    target = "results/tiny/models/fold-0/weights.safetensors"
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
        + ["--configfile", str(tmp_path / "config.yaml"), "--workflow-profile", str(profile)]
        + ["--latency-wait", "5", "--jobs", "2", target],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert (tmp_path / target).exists()
    submitted = [path.read_text() for path in (tmp_path / "state").glob("*.args")]
    assert len(submitted) == len(list((tmp_path / "results/tiny/benchmarks").rglob("*.tsv")))
    on_gpu = [words for words in submitted if "train_fold" in words]
    assert len(on_gpu) == 1
    assert "-q gpu -l gpu=1" in on_gpu[0]
    plain = [words for words in submitted if "assign_folds" in words]
    assert all(option in plain[0] for option in OPTIONS[system])
    assert "attempt" not in "".join(submitted)
