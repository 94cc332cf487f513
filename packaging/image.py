#!/usr/bin/env python3
"""Writes a container image as an OCI layout (image-spec 1.0) in one archive, without a daemon.

    packaging/image.py ARCHIVE VERSION ARCHITECTURE OUT.tar

ARCHIVE is the folder that is packed as .tar.gz; the image has its executable, which is static, its licences and its bill of materials.
Beside them it has the certificates of the authorities (Mozilla's, as the Python package certifi has them, which is pinned), and nothing
else: no C library, no shell, no package manager. The image runs as user 65532, and needs no folder that can be written to. Its bytes
follow from ARCHIVE and that package alone; every file has the time of SOURCE_DATE_EPOCH.
"""

import gzip
import hashlib
import io
import json
import os
import pathlib
import sys
import tarfile
import time
from importlib import metadata

import certifi

USER = 65532
# Of the archive, beside the executable.
DOCUMENTS = ("LICENSE", "THIRD-PARTY-LICENSES.txt", "kgen.cdx.json")
AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"


def base():
    """What the image has beside kgen: path to mode and bytes."""
    licences = [file for file in metadata.files("certifi") if file.name == "LICENSE"]
    if len(licences) != 1:
        sys.exit("error: certifi has %d licences, not one" % len(licences))
    return {
        AUTHORITIES: (0o644, pathlib.Path(certifi.where()).read_bytes()),
        "usr/share/doc/certifi/LICENSE": (0o644, licences[0].read_binary()),
        "etc/passwd": (0o644, b"root:x:0:0:root:/root:/sbin/nologin\nkgen:x:%d:%d:kgen:/:/sbin/nologin\n" % (USER, USER)),
        "etc/group": (0o644, b"root:x:0:\nkgen:x:%d:\n" % USER),
    }


def layer(files, epoch):
    """A compressed archive of `files` (path to mode and bytes) with their folders; its digest and that of what it unpacks to."""
    folders = {str(parent) for path in files for parent in pathlib.PurePosixPath(path).parents if str(parent) != "."}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(folders | set(files)):
            entry = tarfile.TarInfo(path)
            entry.mtime = epoch
            if path in files:
                mode, data = files[path]
                entry.mode, entry.size = mode, len(data)
                archive.addfile(entry, io.BytesIO(data))
            else:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
    return gzip.compress(raw.getvalue(), 9, mtime=0), digest(raw.getvalue())


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def document(value):
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def main():
    archive, version, architecture, out = sys.argv[1:]
    archive = pathlib.Path(archive)
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    own = {"usr/share/doc/kgen/" + name: (0o644, (archive / name).read_bytes()) for name in DOCUMENTS}
    own["usr/bin/kgen"] = (0o755, (archive / "kgen").read_bytes())

    blobs = {}
    def blob(data, kind, **more):
        blobs[digest(data).replace(":", "/")] = data
        return {"mediaType": "application/vnd.oci.image." + kind, "digest": digest(data), "size": len(data), **more}

    layers = [layer(files, epoch) for files in (base(), own)]
    described = [blob(data, "layer.v1.tar+gzip") for data, _ in layers]
    labels = {
        "org.opencontainers.image.title": "kgen",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": "MIT",
    }
    labels["kgen.base.certifi"] = certifi.__version__
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {
            "User": "%d:%d" % (USER, USER),
            "Entrypoint": ["/usr/bin/kgen"],
            "Env": ["PATH=/usr/bin", "HOME=/", "SSL_CERT_FILE=/" + AUTHORITIES],
            "WorkingDir": "/",
            "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [unpacked for _, unpacked in layers]},
        "history": [
            {"created": created, "created_by": "packaging/image.py: the authorities of certifi"},
            {"created": created, "created_by": "packaging/image.py: kgen " + version},
        ],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(document(config), "config.v1+json"),
        "layers": described,
        "annotations": labels,
    }
    platform = {"architecture": architecture, "os": "linux"}
    named = {"org.opencontainers.image.ref.name": version}
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [blob(document(manifest), "manifest.v1+json", platform=platform, annotations=named)],
    }
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}\n', "index.json": document(index)}
    files.update({"blobs/" + name: data for name, data in blobs.items()})
    with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(files):
            entry = tarfile.TarInfo(path)
            entry.mtime, entry.mode, entry.size = epoch, 0o644, len(files[path])
            archive.addfile(entry, io.BytesIO(files[path]))


main()
