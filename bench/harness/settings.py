"""What a peer was told: its command and its configuration, kept with the figures. Nothing that is secret or of this machine."""
import base64
import re

MOST = 6000  # characters of one file: 10,000 rules look like the first thirty
KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----\n?", re.S)


def cut(text):
    return text if len(text) <= MOST else text[:MOST] + f"\n... and {len(text) - MOST} characters more of the same"


def told(cfg, argv, env):
    """{"command", "env", "files": {name: text}} of one start."""
    key = base64.b64encode(cfg.key.read_bytes()).decode()

    def plain(text):
        text = KEY.sub("(the bench's private key)\n", text.replace(key, "(the bench's private key)"))
        for path in sorted(map(str, cfg.bin.values()), key=len, reverse=True):
            text = text.replace(path, path.rsplit("/", 1)[1])
        if cfg.log:
            text = text.replace(str(cfg.log), "LOG")
        return text.replace(str(cfg.dir), "DIR").replace(str(cfg.cert.parent), "SCRATCH")

    files = {}
    for path in sorted(p for p in cfg.dir.rglob("*") if p.is_file()):
        try:
            files[str(path.relative_to(cfg.dir))] = cut(plain(path.read_text()))
        except UnicodeDecodeError:  # state of its own, no setting
            continue
    return {"command": plain(" ".join(map(str, argv))), "env": {k: plain(str(v)) for k, v in env.items()}, "files": files}
