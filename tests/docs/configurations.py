"""The configurations in the documents, and what they need beside them to be checked on any machine."""
import re
import subprocess
from pathlib import Path
from typing import Iterator, NamedTuple

TOP = Path(__file__).resolve().parents[2]

# Whoever copies a block of these has a whole configuration; other documents show parts of one.
WHOLE = ("README.md", "docs/quick-start.md", "docs/recipes/")

_BLOCK = re.compile(r"^```toml\n(.*?)^```", re.S | re.M)
# "[driver.mqtt_listener.tls]" alone goes on with the table that the block before began.
_GOES_ON = re.compile(r"\s*\[[a-z_]+\.[a-z_.]+\]")
_PATH = re.compile(r'\b(?P<key>[a-z_]+|[A-Z]\w+) = (?P<open>\{ file = )?"(?P<path>[^"]+)"')
_CREDENTIAL = re.compile(r'\{ credential = "([^"]+)" \}')


class Block(NamedTuple):
    place: str  # docs/cloud.md:19
    text: str


def documents() -> list:
    return [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]


def blocks_of(text: str, path: str) -> Iterator[Block]:
    before = ""
    for match in _BLOCK.finditer(text):
        block = match.group(1)
        if _GOES_ON.match(block):
            block = before + block
        before = block
        yield Block(f"{path}:{text.count(chr(10), 0, match.start()) + 1}", block)


def blocks() -> list:
    found = []
    for document in documents():
        found += blocks_of(document.read_text(encoding="utf-8"), document.relative_to(TOP).as_posix())
    return found


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Material:
    """A folder with certificates, a list of users, a token and a secret, and configurations that name these files."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                 "-subj", "/CN=gateway", "-addext", "subjectAltName=DNS:localhost", "-keyout", self.key, "-out", self.cert)
        self.secret = self._made("secret", "s3cret-0f-the-documents\n")
        # mosquitto_passwd's form: PBKDF2 with 101 iterations, salt and hash in base64.
        self.users = self._made("users", f"boiler:$7$101${'A' * 16}${'A' * 86}==\n")
        self.key.chmod(0o600)

    def _made(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        return file

    def _replaced(self, match: re.Match) -> str:
        key, opened = match.group("key"), match.group("open") or ""
        if key == "path" and not opened:  # of a file uplink, whose directory is to be there
            return f'path = "{self.folder / Path(match.group("path")).name}"'
        by_key = {"ca": self.cert, "cert": self.cert, "key": self.key, "users": self.users}
        if not opened and key not in ("ca", "cert"):
            return match.group(0)
        return f'{key} = {opened}"{by_key.get(key, self.secret)}"'

    def configuration(self, text: str, data_dir: Path = None) -> Path:
        """`text` with its files replaced by ours; the file is there until the folder goes."""
        text = _PATH.sub(self._replaced, text)
        text = _CREDENTIAL.sub(f'{{ file = "{self.secret}" }}', text)
        if data_dir is not None:
            text = re.sub(r'data_dir = "[^"]*"', f'data_dir = "{data_dir}"', text)
        return self._made("tidegate.toml", text)


def check(program: str, configuration: Path) -> subprocess.CompletedProcess:
    return subprocess.run([program, "check", "--config", str(configuration)], check=False, capture_output=True, text=True)
