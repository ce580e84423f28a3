"""Thousands of damaged volumes: each is refused in the documented way or read as what it says, in little memory.

The damage is drawn with a seed, in a process of its own whose memory is bounded: a header that asks for more than a
volume can have would end it.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = """
import json, resource, sys, time
from pathlib import Path
import gzip
import nibabel as nib, numpy as np
from voxplain.base.errors import InputError
from voxplain.imaging.reading import check_headers, read_volume

kind, seed, tries, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
rng = np.random.default_rng(seed)
data = rng.integers(0, 900, (9, 10, 8)).astype(np.int16)
image = nib.Nifti1Image(data, np.array([[-2.0, 0, 0, 9], [0, 2.5, 0, -8], [0, 0, 3, -12], [0, 0, 0, 1]]))
image.set_sform(image.affine, 1), image.set_qform(image.affine, 1)
if kind == "nifti2":
    image = nib.Nifti2Image.from_image(image)
plain = (nib.MGHImage(data, image.affine) if kind == "mgh" else image).to_bytes()
header = {"nifti1": 352, "gzip": 352, "cut": 352, "nifti2": 544, "mgh": 284}[kind]
raw = gzip.compress(plain, mtime=0) if kind in ("gzip", "cut") else plain
path = folder / {"mgh": "f.mgh", "gzip": "f.nii.gz", "cut": "f.nii.gz"}.get(kind, "f.nii")
damages = []
if kind == "cut":
    damages = [raw[:length] for length in range(len(raw))]
else:
    for number in range(tries):
        broken = bytearray(raw)
        reach = len(raw) if kind == "gzip" else header
        if kind != "gzip" and number < 3 * header:  # every byte of the header: all bits, the highest, a random one
            place = number // 3
            broken[place] ^= (0xFF, 0x80, 1 << int(rng.integers(8)))[number % 3]
        else:
            for place in rng.integers(0, reach, rng.integers(1, 9)):
                broken[place] = rng.integers(256)
        damages.append(bytes(broken))
limit = 2**30 + resource.getpagesize() * int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
counts, strange, slowest = {"refused": 0, "read": 0}, [], 0.0
for number, broken in enumerate(damages):
    path.write_bytes(broken)
    start = time.perf_counter()
    try:
        volume = read_volume(path)
    except InputError as refusal:
        counts["refused"] += 1
        if not str(refusal).startswith(f"{path}: "):
            strange.append([number, str(refusal)])
    except BaseException as error:
        strange.append([number, repr(error)])
    else:
        counts["read"] += 1
        fine = volume.data.ndim == 3 and min(volume.data.shape) >= 8 and np.isfinite(volume.data).all()
        fine &= volume.data.nbytes <= 4 * (data.nbytes + 2 * 80) and np.isfinite(volume.affine).all()
        fine &= abs(np.linalg.det(volume.affine)) > 0
        check_headers([path])
        if not fine:
            strange.append([number, f"read as {volume.data.shape} {volume.affine.tolist()}"])
    slowest = max(slowest, time.perf_counter() - start)
peak = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps({**counts, "strange": strange[:20], "slowest": slowest, "peak_mib": peak, "tries": len(damages)}))
"""


def fuzzed(kind, seed, tries, folder):
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, kind, str(seed), str(tries), str(folder)],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
        env={
            "PYTHONPATH": str(Path(__file__).parents[3] / "workflow" / "scripts"),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        },
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def check(found, least_refused):
    assert found["strange"] == []
    assert found["refused"] + found["read"] == found["tries"]
    assert found["refused"] >= least_refused * found["tries"]
    assert found["slowest"] < 5
    assert found["peak_mib"] < 400


@pytest.mark.parametrize(
    ("kind", "tries", "least_refused"),
    [("nifti1", 1500, 0.2), ("nifti2", 1700, 0.1), ("mgh", 900, 0.1), ("gzip", 800, 0.9)],
)
def test_damaged_headers(tmp_path, kind, tries, least_refused):
    check(fuzzed(kind, 1, tries, tmp_path), least_refused)


def test_compressed_volumes_that_end_anywhere(tmp_path):
    found = fuzzed("cut", 1, 0, tmp_path)
    check(found, 1)
    assert found["tries"] > 1000


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize(("kind", "least_refused"), [("nifti1", 0.2), ("nifti2", 0.1), ("mgh", 0.1), ("gzip", 0.9)])
def test_many_damaged_headers(tmp_path, kind, least_refused, seed):
    check(fuzzed(kind, seed, 15000, tmp_path), least_refused)
