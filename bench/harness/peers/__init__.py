"""Peers by name: a module for each. A peer has

    name           what the table calls it
    listens        the set of Config.listen values that it can do
    lacks          scenarios that it can't do all the same
    version(bin)   -> str
    can            names of config.WORK that command() sees to, where the defaults aren't all
    command(cfg)   -> argv, or (argv, env): writes what it needs with cfg.write(), and says how to run it
                   in the foreground, serving cfg.listen on cfg.port

and `register(peer)` is called on it. See floor.py for the shortest one.
"""
PEERS = {}


def register(peer):
    PEERS[peer.name] = peer
    return peer


class Peer:
    """Base with the defaults; a subclass sets name, listens and command()."""
    name = ""
    listens = frozenset()
    lacks = frozenset()
    can = frozenset({"headers"})
    routes = True        # can do cfg.routes
    max_routes = 10**9
    needs = ()           # names in cfg.bin that must be there
    floor = False        # not a proxy: never "best", only a limit
    since = {}           # "major.minor" -> when its first release came, as far as it is known
    data_plane = ""      # file name of the program that carries the traffic, where there are several
    fixed_workers = True # a thread or process per worker; False where a runtime moves work between threads
    changes_per_s = 0    # can "changes": the rate that it bears

    def version(self, bin):
        return ""

    def command(self, cfg):
        raise NotImplementedError

    def change(self, cfg, child, i):
        """Makes it so, without a restart, that http://change.bench.test/v{i}/ goes to the backend, and /v{i - 1}/ no more."""
        raise NotImplementedError

    def versions(self, cfg):
        """How many configurations were in force since the start; None where it can't be asked."""
        return None


def load():
    import importlib
    import pkgutil
    for m in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{m.name}")
    return PEERS
