#!/usr/bin/env python3
"""Provisions the demo workspace of the local stack and keeps what it made in the stack's env file.

usage: provision.py ENV_FILE READY_SECONDS KEY[=VALUE]...

The given pairs (addresses) are written as they are; a key alone has its value in the environment, where other users of the
machine do not see it. Ids and tokens that the file already holds are kept; each new one is
written as soon as it exists, and the requests carry Idempotency-Keys, so an interrupted run is continued, not repeated.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROLES = "CLAB_OPERATOR,ADMIN,USER,GUEST,DPO,PLATFORM_UPDATES"
TOKEN_DAYS = 3650
REQUEST_SECONDS = 30
KNOWN_SECONDS = 10
KNOWN_ANSWERS = 20


class Failure(Exception):
    pass


class EnvFile:
    """KEY=VALUE lines, rewritten whole with each change."""

    def __init__(self, path):
        self.path = path
        self.values = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as lines:
                self.values = dict(line.rstrip("\n").split("=", 1) for line in lines if "=" in line)

    def get(self, key):
        return self.values.get(key)

    def set(self, **pairs):
        if all(self.values.get(key) == value for key, value in pairs.items()):
            return
        self.values.update(pairs)
        new = self.path + ".new"
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.writelines(f"{key}={value}\n" for key, value in self.values.items())
        os.replace(new, self.path)


class Api:
    def __init__(self, url):
        self.base = url + "/hub/v1"
        self.token = None

    def request(self, method, path, body=None, key=None):
        """Status and parsed body; raises URLError while the server cannot be reached."""
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        if key:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")

    def create(self, path, body, key):
        """With several gateways the next one may hear of what the last one made a moment later: 401, 403, 404 are tried again."""
        deadline = time.monotonic() + KNOWN_SECONDS
        while True:
            status, answer = self.request("POST", path, body, key)
            if status in (200, 201):
                return answer
            if status not in (401, 403, 404, 503) or time.monotonic() > deadline:
                raise Failure(f"POST {path} answered {status}: {answer}")
            time.sleep(0.1)

    def wait_for(self, path, seconds, times=1):
        """Asks until the answer is 200, so many times in a row."""
        deadline = time.monotonic() + seconds
        row = 0
        while row < times:
            try:
                status, answer = self.request("GET", path)
                if status == 200:
                    row += 1
                    continue
                answer = f"{status} {answer}"
            except (OSError, ValueError) as error:
                answer = error
            if time.monotonic() > deadline:
                raise Failure(f"GET {path} was not answered with 200 within {seconds} seconds, but: {answer}")
            row = 0
            time.sleep(0.1)

    def wait_known(self, token):
        """Each request is a new connection, which may reach any of the gateways: many in a row have asked them all."""
        self.token = token
        self.wait_for("/me", KNOWN_SECONDS, times=KNOWN_ANSWERS)


def contacthubctl(*arguments):
    """The words that the operator's tool prints."""
    run = subprocess.run([os.environ["CONTACTHUB_CTL"], *arguments], capture_output=True, text=True)
    if run.returncode != 0:
        words = run.stderr.strip() or run.stdout.strip()
        raise Failure(words if words.startswith("contacthubctl ") else f"contacthubctl {' '.join(arguments[:2])}: {words}")
    return run.stdout.split()


def make_admin(env):
    if env.get("CONTACTHUB_ADMIN_TOKEN"):
        return
    [user] = contacthubctl("user", "create", "--name", "Demo", "--surname", "Operator", "--email", "operator@example.com",
                           "--roles", ROLES, "--all-workspaces")
    [token] = contacthubctl("token", "create", "--user", user, "--days", str(TOKEN_DAYS))
    env.set(CONTACTHUB_ADMIN_TOKEN=token)


def make_workspace(env, api):
    if env.get("CONTACTHUB_WORKSPACE"):
        return
    body = {"name": "Demo", "slug": "demo", "groupPk": 1, "shard": "default"}
    env.set(CONTACTHUB_WORKSPACE=api.create("/workspaces", body, "provision-workspace")["id"])


def make_node(env, api, configuration):
    if env.get("CONTACTHUB_NODE"):
        return
    body = {"name": "Shop", "uniqueCustomer": {"properties": ["externalId"], "caseSensitive": True}}
    env.set(CONTACTHUB_NODE=api.create(configuration + "/nodes/entries", body, "provision-node")["id"])


def make_trusted_source(env, api, configuration):
    if env.get("CONTACTHUB_TOKEN"):
        return
    body = {"provider": "API", "name": "Shop backend", "nodes": [env.get("CONTACTHUB_NODE")], "enabled": True}
    env.set(CONTACTHUB_TOKEN=api.create(configuration + "/sources", body, None)["token"])


def make_untrusted_source(env):
    """The API no longer creates JavaScript sources, the operator does."""
    if env.get("CONTACTHUB_UNTRUSTED_TOKEN"):
        return
    _, token = contacthubctl("source", "create", "--workspace", env.get("CONTACTHUB_WORKSPACE"), "--provider", "JavaScript",
                             "--name", "Shop web page", "--node", env.get("CONTACTHUB_NODE"))
    env.set(CONTACTHUB_UNTRUSTED_TOKEN=token)


def given(pair):
    key, equals, value = pair.partition("=")
    return key, value if equals else os.environ[key]


def main(path, ready_seconds, *pairs):
    env = EnvFile(path)
    env.set(**dict(map(given, pairs)))
    api = Api(env.get("CONTACTHUB_URL"))
    api.wait_for("/health/ready", int(ready_seconds))
    make_admin(env)
    api.token = env.get("CONTACTHUB_ADMIN_TOKEN")
    make_workspace(env, api)
    configuration = f"/workspaces/{env.get('CONTACTHUB_WORKSPACE')}/configuration"
    make_node(env, api, configuration)
    make_trusted_source(env, api, configuration)
    make_untrusted_source(env)
    for name in ("CONTACTHUB_ADMIN_TOKEN", "CONTACTHUB_TOKEN", "CONTACTHUB_UNTRUSTED_TOKEN"):
        api.wait_known(env.get(name))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Failure, OSError) as failure:
        sys.exit(f"provision: {failure}")
