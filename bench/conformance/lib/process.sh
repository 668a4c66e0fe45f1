# shellcheck shell=bash
# Background processes of the lab: start, find, freeze and end them, each by its recorded pid.

say() { echo "lab: $*" >&2; }
die() {
  say "$*"
  exit 1
}

# inside CMD... runs a command in the lab's network namespace.
inside() {
  [ -e "/run/netns/$NETNS" ] || die "not up: run '$0 up' first"
  nsenter --net="/run/netns/$NETNS" -- "$@"
}

# start_time PID prints when the kernel started it, so that a reused pid is not taken for ours.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# start NAME CMD... runs a command inside, in the background, with a log.
start() {
  local name=$1
  shift
  setsid nsenter --net="/run/netns/$NETNS" -- "$@" </dev/null >>"$RUN/$name.log" 2>&1 &
  echo "$! $(start_time $!)" >"$RUN/$name.pid"
}

alive() {
  local pid since
  read -r pid since 2>/dev/null <"$RUN/$1.pid" || return 1
  [ -n "$since" ] && [ "$(start_time "$pid")" = "$since" ]
}

# signal SIGNAL NAME... signals each process that lives.
signal() {
  local signal=$1 name pid
  shift
  for name in "$@"; do
    if alive "$name"; then
      read -r pid _ <"$RUN/$name.pid"
      kill "-$signal" "$pid" || true
    fi
  done
}

# stop NAME... ends the processes, after 5 seconds each by force.
stop() {
  local name
  signal CONT "$@" # one that is frozen takes no other signal
  signal TERM "$@"
  for name in "$@"; do
    for _ in $(seq 50); do
      alive "$name" || break
      sleep 0.1
    done
    kill_group "$name"
    rm -f "$RUN/$name.pid"
  done
}

# kill_group NAME ends a process that didn't go, and its children: it leads their process group.
kill_group() {
  local pid
  if alive "$1"; then
    read -r pid _ <"$RUN/$1.pid"
    kill -KILL -- "-$pid" || true
  fi
}

# await NAME SECONDS CMD... waits until a command succeeds while process NAME lives.
await() {
  local name=$1 seconds=$2
  shift 2
  for _ in $(seq $((seconds * 5))); do
    if "$@" >/dev/null 2>&1; then return; fi
    alive "$name" || die "$name ended: see $RUN/$name.log"
    sleep 0.2
  done
  die "$name is not ready after ${seconds}s: see $RUN/$name.log"
}
