"""A hub on this machine, for tests: what huggingface_hub asks of the real one, kept in memory. `repositories` has models under
"user/name" and data sets under "datasets/user/name".

    with Hub() as hub:
        hub.users["hf_secret"] = "ada"           # a token and whose it is
        HfApi(hub.endpoint, token="hf_secret").create_repo("ada/model")
        hub.fault("GET", "resolve", status=429, headers={"Retry-After": "1"}, times=2)

Two addresses, as in the real one: the interface, and the storage that large files come from and go to. The storage refuses a request
that carries a token: it belongs to somebody else. `hub.requests` holds what was asked.
"""
import base64
import hashlib
import itertools
import json
import pathlib
import re
import socket
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

LARGE_NAMES = (".safetensors", ".bin", ".zip", ".png")  # as the hub's .gitattributes; others by size
LARGE_BYTES = 1_000_000


def git_blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class Entry:
    """A file at a commit."""
    content: bytes
    sha256: str = ""  # of a large file

    @property
    def oid(self):
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (self.sha256.encode(), len(self.content))
        return git_blob_id(pointer if self.sha256 else self.content)

    def listed(self, path):
        entry = {"type": "file", "path": path, "oid": self.oid, "size": len(self.content)}
        if self.sha256:
            entry["lfs"] = {"oid": self.sha256, "size": len(self.content), "pointerSize": 130}
        return entry


@dataclass
class Commit:
    files: dict
    message: str = ""
    description: str = ""
    author: str = ""
    parent: str = ""

    @property
    def sha(self):
        text = json.dumps([self.message, self.description, self.parent, sorted((p, e.oid) for p, e in self.files.items())])
        return hashlib.sha1(text.encode()).hexdigest()


@dataclass
class Repository:
    owner: str
    is_private: bool
    commits: dict = field(default_factory=dict)
    branches: dict = field(default_factory=dict)

    def head(self, revision):
        if revision in self.branches:
            return self.commits[self.branches[revision]]
        return self.commits.get(revision)

    def add(self, branch, commit):
        commit.parent = self.branches.get(branch, "")
        self.commits[commit.sha] = commit
        self.branches[branch] = commit.sha
        return commit


@dataclass
class Fault:
    """What goes wrong with the next `times` requests that match."""
    method: str
    path: str
    times: int
    status: int = 0
    headers: dict = field(default_factory=dict)
    message: str = ""
    cut_after: int = -1  # bytes of the body, then the connection ends
    said_length: int = -1  # a Content-Length that is not true
    content: bytes = None  # another content of the same length
    body: bytes = None  # another answer, of whatever length
    change: object = None  # a function from the JSON of the answer to another
    delay: float = 0  # seconds between pieces of 64 kB
    wait: float = 0  # seconds before the answer
    after: bool = False  # the request is carried out, its answer is lost


@dataclass
class Asked:
    method: str
    path: str
    headers: dict
    host: str  # "hub" or "storage"


class Hub:
    def __init__(self, part_size=None, page=1000):
        self.users, self.repositories, self.storage, self.parts = {}, {}, {}, {}
        self.part_size, self.page = part_size, page
        self.requests, self.faults = [], []
        self._servers = []

    def __enter__(self):
        for host in ("hub", "storage"):
            handler = type("Handler", (_Handler,), {"hub": self, "host": host})
            server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self._servers.append(server)
        self.endpoint, self.storage_url = (f"http://127.0.0.1:{s.server_address[1]}" for s in self._servers)
        return self

    def __exit__(self, *_):
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def fault(self, method, path, times=1, **what):
        self.faults.append(Fault(method, path, times, **what))

    def take_fault(self, method, path):
        for fault in self.faults:
            if fault.times > 0 and fault.method == method and fault.path in path:
                fault.times -= 1
                return fault
        return None

    def asked(self, method, part):
        return [r for r in self.requests if r.method == method and part in r.path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub, host = None, None

    def log_message(self, *_):
        pass

    # --- what goes around every request

    def handle_request(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(url.query))
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = self.read_chunks()
        else:
            self.body = self.rfile.read(length)
        self.hub.requests.append(Asked(self.command, self.path, dict(self.headers), self.host))
        self.lost, self.fault = False, self.hub.take_fault(self.command, self.path)
        if self.fault and self.fault.wait:
            time.sleep(self.fault.wait)
        if self.fault and self.fault.status:
            if not self.fault.after:
                return self.fail(self.fault.status, self.fault.message or "a fault", headers=self.fault.headers)
            self.lost = True
        if self.fault and self.fault.cut_after == 0 and not self.fault.after:
            return self.cut()
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if self.host == "storage":
            if token:
                return self.fail(400, "the storage was sent a token")
            return self.route(url.path, STORAGE_ROUTES)
        if token and token not in self.hub.users:
            return self.fail(401, "Invalid credentials in Authorization header")
        self.user = self.hub.users.get(token)
        return self.route(url.path, HUB_ROUTES)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = handle_request

    def read_chunks(self):
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def route(self, path, routes):
        for method, pattern, function in routes:
            if match := (self.command == method and re.fullmatch(pattern, path)):
                return function(self, *map(urllib.parse.unquote, match.groups()))
        return self.fail(404, f"no such address: {self.command} {path}")

    def cut(self):
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def answer(self, status, body=b"", headers=None):
        if self.lost:
            status, body, headers = self.fault.status, b"{}", self.fault.headers
        fault = self.fault or Fault("", "", 0)
        if fault.content is not None and status in (200, 206):
            body = fault.content[len(fault.content) - len(body):]
        if fault.body is not None:
            body = fault.body
        if fault.change is not None:
            body = json.dumps(fault.change(json.loads(body))).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if fault.said_length < 0 else fault.said_length))
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            if fault.delay:
                for at in range(0, len(body), 65536):
                    self.wfile.write(body[at:at + 65536])
                    self.wfile.flush()
                    time.sleep(fault.delay)
            else:
                self.wfile.write(body if fault.cut_after < 0 else body[:fault.cut_after])
        except OSError:  # the client went away
            self.close_connection = True
            return
        if fault.cut_after >= 0 or fault.said_length >= 0:
            self.cut()

    def json(self, value, status=200, headers=None):
        self.answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def fail(self, status, message, code="", headers=None):
        more = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {}) | (headers or {})
        self.json({"error": message}, status, more)

    # --- who may see and change what

    def find(self, name, write=False):
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.is_private and repository.owner != self.user):
            self.fail(401 if self.user is None else 404, "Repository not found", "RepoNotFound")
            return None
        if write and self.user is None:
            self.fail(401, "Invalid username or password.")
            return None
        if write and self.user != repository.owner:
            self.fail(403, "You don't have the rights to write to this repository.")
            return None
        return repository

    def find_commit(self, name, revision):
        repository = self.find(name)
        if repository is None:
            return None
        commit = repository.head(revision)
        if commit is None:
            self.fail(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    # --- the interface

    def create(self):
        asked = json.loads(self.body)
        if self.user is None:
            return self.fail(401, "Invalid username or password.")
        owner, kind = asked.get("organization") or self.user, asked.get("type", "model")
        name = {"model": "", "dataset": "datasets/"}[kind] + f"{owner}/{asked['name']}"
        url = f"{self.hub.endpoint}/{name}"
        if name in self.hub.repositories:
            return self.json({"error": f"You already created this {kind} repo", "url": url}, 409)
        if owner != self.user:
            return self.fail(403, f"You don't have the rights to create a {kind} under the namespace {owner}")
        repository = Repository(owner, asked.get("visibility") == "private" or asked.get("private", False))
        repository.add("main", Commit({".gitattributes": Entry(b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n")}, "initial commit"))
        self.hub.repositories[name] = repository
        self.json({"url": url, "name": name.removeprefix("datasets/"), "id": name})

    def whoami(self):
        if self.user is None:
            return self.fail(401, "Invalid username or password.")
        self.json({"type": "user", "name": self.user, "auth": {"accessToken": {"role": "write"}}})

    def validate_yaml(self):
        content = json.loads(self.body)["content"]
        match = re.match(r"---\n(.*?)\n---\n", content, re.S)
        try:
            yaml.safe_load(match[1]) if match else None
        except yaml.YAMLError as error:
            return self.json({"errors": [{"message": str(error)}], "warnings": []}, 400)
        self.json({"errors": [], "warnings": []})

    def info(self, name, revision="main"):
        if commit := self.find_commit(name, revision):
            repository = self.hub.repositories[name]
            plain = name.removeprefix("datasets/")
            self.json({"id": plain, "modelId": plain, "sha": commit.sha, "private": repository.is_private, "tags": [], "downloads": 0,
                       "siblings": [{"rfilename": path} for path in sorted(commit.files)]})

    def refs(self, name):
        if repository := self.find(name):
            branches = [{"name": b, "ref": f"refs/heads/{b}", "targetCommit": sha} for b, sha in repository.branches.items()]
            self.json({"branches": branches, "tags": [], "converts": []})

    def branch(self, name, branch):
        if repository := self.find(name, write=True):
            if branch in repository.branches:
                return self.fail(409, "Reference already exists")
            start = repository.head(json.loads(self.body or b"{}").get("startingPoint", "main"))
            repository.branches[branch] = start.sha
            self.json({})

    def tree(self, name, revision, folder=""):
        if commit := self.find_commit(name, revision):
            files = [entry.listed(path) for path, entry in sorted(commit.files.items())]
            folders = {str(parent) for path in commit.files for parent in pathlib.PurePosixPath(path).parents if str(parent) != "."}
            entries = files + [{"type": "directory", "path": f, "oid": "0" * 40, "size": 0} for f in sorted(folders)]
            inside = folder + "/" if folder else ""
            entries = [e for e in entries if e["path"].startswith(inside) and (self.query.get("recursive") == "true" or "/" not in e["path"][len(inside):])]
            at = int(self.query.get("cursor", 0))
            more = {}
            if at + self.hub.page < len(entries):
                query = f'recursive={self.query.get("recursive", "false")}&cursor={at + self.hub.page}'
                more["Link"] = f'<{self.hub.endpoint}{self.path.split("?")[0]}?{query}>; rel="next"'
            self.json(entries[at:at + self.hub.page], headers=more)

    def preupload(self, name, revision):
        if (repository := self.find(name, write=True)) is None:
            return
        commit = repository.head(revision)
        if commit is None:
            return self.fail(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        files = []
        for one in json.loads(self.body)["files"]:
            there = commit.files.get(one["path"])
            base64.b64decode(one["sample"], validate=True)
            is_large = one["path"].endswith(LARGE_NAMES) or one["size"] >= LARGE_BYTES
            oid = (there.sha256 or there.oid) if there else None
            files.append({"path": one["path"], "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False} | ({"oid": oid} if oid else {}))
        self.json({"files": files})

    def lfs_batch(self, name):
        if self.find(name, write=True) is None:
            return
        objects = []
        for one in json.loads(self.body)["objects"]:
            answer = {"oid": one["oid"], "size": one["size"]}
            if one["oid"] not in self.hub.storage:
                base, header = f"{self.hub.storage_url}/upload/{one['oid']}", {}
                if self.hub.part_size and one["size"] > self.hub.part_size:
                    count = -(-one["size"] // self.hub.part_size)
                    header = {"chunk_size": str(self.hub.part_size)} | {f"{i + 1:05}": f"{base}/{i + 1}" for i in range(count)}
                    base = f"{self.hub.storage_url}/complete/{one['oid']}"
                answer["actions"] = {"upload": {"href": base, "header": header},
                                     "verify": {"href": f"{self.hub.endpoint}/api/verify/{one['oid']}"}}
            objects.append(answer)
        self.json({"transfer": "multipart" if self.hub.part_size else "basic", "objects": objects})

    def verify(self, oid):
        asked = json.loads(self.body)
        if self.user is None:
            return self.fail(401, "Invalid username or password.")
        if len(self.hub.storage.get(oid, b"")) != asked["size"]:
            return self.fail(404, "no such object")
        self.json({})

    def commit(self, name, revision):
        if (repository := self.find(name, write=True)) is None:
            return
        if revision not in repository.branches:
            return self.fail(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        header, *operations = map(json.loads, self.body.splitlines())
        files = dict(repository.head(revision).files)
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = Entry(base64.b64decode(value["content"], validate=True))
            elif operation["key"] == "lfsFile":
                content = self.hub.storage.get(value["oid"])
                if content is None:
                    return self.fail(400, f"LFS object {value['oid']} was not uploaded")
                files[value["path"]] = Entry(content, value["oid"])
            elif operation["key"] == "deletedFile":
                files.pop(value["path"])
            else:
                return self.fail(400, f"unknown operation {operation['key']}")
        commit = repository.add(revision, Commit(files, header["value"]["summary"], header["value"].get("description", ""), self.user))
        self.json({"success": True, "commitOid": commit.sha, "commitUrl": f"{self.hub.endpoint}/{name}/commit/{commit.sha}", "hookOutput": ""})

    def resolve(self, name, revision, path):
        if (commit := self.find_commit(name, revision)) is None:
            return
        if (entry := commit.files.get(path)) is None:
            return self.fail(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": commit.sha})
        headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{entry.oid}"', "Accept-Ranges": "bytes"}
        if entry.sha256:
            location = f"{self.hub.storage_url}/content/{entry.sha256}"
            return self.answer(302, headers=headers | {"Location": location, "X-Linked-Size": str(len(entry.content)), "X-Linked-Etag": f'"{entry.sha256}"'})
        self.content(entry.content, headers)

    # --- the storage

    def content(self, content, headers=None):
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            first = int(asked[1])
            if first >= len(content):
                return self.answer(416, headers={"Content-Range": f"bytes */{len(content)}"})
            part = {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"}
            return self.answer(206, content[first:], (headers or {}) | part)
        self.answer(200, content, headers)

    def stored(self, oid):
        self.content(self.hub.storage[oid])

    def upload(self, oid):
        if hashlib.sha256(self.body).hexdigest() != oid:
            return self.fail(400, "the content is not what its name says")
        self.hub.storage[oid] = self.body
        self.answer(200, headers={"ETag": f'"{oid[:32]}"'})

    def upload_part(self, oid, number):
        self.hub.parts[oid, int(number)] = self.body
        self.answer(200, headers={"ETag": f'"{hashlib.md5(self.body).hexdigest()}"'})

    def complete(self, oid):
        parts = json.loads(self.body)["parts"]
        content = b""
        for expected, part in zip(itertools.count(1), parts):
            body = self.hub.parts.get((oid, part["partNumber"]))
            if part["partNumber"] != expected or body is None or part["etag"] != f'"{hashlib.md5(body).hexdigest()}"':
                return self.fail(400, f"part {expected} is missing or another")
            content += body
        if hashlib.sha256(content).hexdigest() != oid:
            return self.fail(400, "the content is not what its name says")
        self.hub.storage[oid] = content
        self.json({})


NAME, DATASET = r"([\w.-]+/[\w.-]+)", r"(datasets/[\w.-]+/[\w.-]+)"
HUB_ROUTES = [
    ("POST", "/api/repos/create", _Handler.create),
    ("GET", "/api/whoami-v2", _Handler.whoami),
    ("POST", "/api/validate-yaml", _Handler.validate_yaml),
    ("POST", "/api/verify/([0-9a-f]{64})", _Handler.verify),
]
for api, page in ((f"/api/models/{NAME}", f"/{NAME}"), (f"/api/{DATASET}", f"/{DATASET}")):
    HUB_ROUTES += [
        ("GET", api, _Handler.info),
        ("GET", f"{api}/revision/([^/]+)", _Handler.info),
        ("GET", f"{api}/refs", _Handler.refs),
        ("POST", f"{api}/branch/([^/]+)", _Handler.branch),
        ("GET", f"{api}/tree/([^/]+)", _Handler.tree),
        ("GET", f"{api}/tree/([^/]+)/(.+)", _Handler.tree),
        ("POST", f"{api}/preupload/([^/]+)", _Handler.preupload),
        ("POST", f"{api}/commit/([^/]+)", _Handler.commit),
        ("POST", f"{page}\\.git/info/lfs/objects/batch", _Handler.lfs_batch),
        ("GET", f"{page}/resolve/([^/]+)/(.+)", _Handler.resolve),
        ("HEAD", f"{page}/resolve/([^/]+)/(.+)", _Handler.resolve),
    ]
STORAGE_ROUTES = [
    ("GET", "/content/([0-9a-f]{64})", _Handler.stored),
    ("HEAD", "/content/([0-9a-f]{64})", _Handler.stored),
    ("PUT", "/upload/([0-9a-f]{64})", _Handler.upload),
    ("PUT", "/upload/([0-9a-f]{64})/(\\d+)", _Handler.upload_part),
    ("POST", "/complete/([0-9a-f]{64})", _Handler.complete),
]

if __name__ == "__main__":  # python3 hub_server.py TOKEN USER: says its address and serves until it is ended
    import sys
    with Hub() as running:
        running.users[sys.argv[1]] = sys.argv[2]
        print(running.endpoint, flush=True)
        threading.Event().wait()
