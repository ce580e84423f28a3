import subprocess
import sys
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[3] / "workflow" / "scripts"


def test_cheap_jobs_import_no_heavy_package():
    """Each job is a process of its own; those that only read tables must not pay for torch or nilearn."""
    code = (
        "import sys\n"
        "from voxplain.population import atlas, atlas_labels, maps, overlap, regions, summary, threshold\n"
        "from voxplain.evaluation import localization\n"
        "print(sorted({'torch', 'nibabel', 'nilearn', 'sklearn', 'scipy', 'ants', 'matplotlib'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=LIBRARY, check=True)
    assert run.stdout.strip() == "[]"
