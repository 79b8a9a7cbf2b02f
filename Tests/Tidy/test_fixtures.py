"""What scripts/ write into Tests/ is there as they write it now, with the pinned opentelemetry-proto."""
import filecmp
import subprocess
import sys

import rules

FIXTURES = rules.ROOT / "Tests/OTLPWireTests/Fixtures"


def test_field_table_is_current():
    written = subprocess.run([sys.executable, "scripts/otlp_fields.py"], cwd=rules.ROOT, capture_output=True, text=True, check=True).stdout
    assert written.count("\n") > 40
    assert (FIXTURES / "otlp_fields.tsv").read_text() == written, "run scripts/otlp_fields.py as it says, and look at what changed"


def test_sample_requests_are_current(tmp_path):
    subprocess.run([sys.executable, "scripts/otlp_samples.py", str(tmp_path)], cwd=rules.ROOT, check=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 6
    _, different, missing = filecmp.cmpfiles(tmp_path, FIXTURES, names, shallow=False)
    assert not different + missing, "run scripts/otlp_samples.py as it says, and look at what changed"
