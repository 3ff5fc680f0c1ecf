"""What the deployment files say, read with nothing but a YAML parser: no engine, no cluster, no network."""

import pathlib
import re
import subprocess

import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = CHECKOUT / "build/bin"


def text(path):
    return (CHECKOUT / path).read_text(encoding="utf-8")


def document(path):
    return yaml.safe_load(text(path))


def documents(path):
    return [one for one in yaml.safe_load_all(text(path)) if one]


def key_values(words):
    """KEY=VALUE lines with comments, as env files and .properties have them."""
    pairs = (line.split("=", 1) for line in words.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, value in pairs}


def shell_array(path, name):
    """The words of a bash array, without its comments."""
    [body] = re.findall(rf"^readonly {name}=\((.*?)\)", text(path), re.M | re.S)
    return re.sub(r"#.*", "", body).split()


def program(*words):
    """What a program that was built prints."""
    return subprocess.run([str(PROGRAMS / words[0]), *words[1:]], capture_output=True, text=True, timeout=10, check=True).stdout


def settings():
    """Every setting's default by the variable's name."""
    return dict(re.findall(r"^\| `(\w+)` \|[^|]*\| (?:`([^`]*)`)? ", program("contacthubctl", "settings"), re.M))


def commands_of_ctl():
    """Every command of the operator's tool, "token create" for example."""
    return re.findall(r"^  ([a-z-]+(?: [a-z]+)?)", program("contacthubctl", "--help"), re.M)


def processes():
    """Our own: those of the local stack without PostgreSQL and Kafka."""
    return [name for name in shell_array("deploy/local/lib.sh", "PROCESSES") if name not in ("postgres", "kafka")]


class Dockerfile:
    def __init__(self, path="deploy/docker/Dockerfile"):
        words = re.sub(r"\\\n\s*", " ", text(path))
        self.stages = re.split(r"^FROM ", words, flags=re.M)[1:]
        self.last = self.stages[-1]

    def packages(self, stage):
        [names] = re.findall(r"apt-get install -y --no-install-recommends ([^&]*)", self.stages[stage])
        return set(names.split())

    def programs(self):
        [names] = re.findall(r'^ARG PROGRAMS="(.*)"', self.stages[0], re.M)
        return set(names.split())

    def scripts(self):
        """Copied from the checkout."""
        [sources] = re.findall(r"^COPY (deploy/.*) \S+$", self.last, re.M)
        return {pathlib.PurePath(source).name: CHECKOUT / source for source in sources.split()}

    def user(self):
        [user] = re.findall(r"^USER (\d+:\d+)$", self.last, re.M)
        return user

    def port(self):
        [port] = re.findall(r"^EXPOSE (\d+)$", self.last, re.M)
        return port


def commands(words):
    """The simple commands in an exec form, and in what it has a shell do."""
    if words[:2] == ["sh", "-c"]:
        return [part.split() for part in words[2].split("&&")]
    return [words]


def check_command(words):
    """It names what the image holds; a command of the operator's tool is one."""
    image = Dockerfile()
    for command in commands(words):
        assert command[0] in image.programs() | image.scripts().keys() | {"sleep"}, f"the image does not hold {command[0]}"
        if command[0] == "contacthubctl":
            assert command[1] in [name.split()[0] for name in commands_of_ctl()], f"there is no {' '.join(command)}"
