// The floor: a TCP forwarder that parses nothing, one upstream connection per client
// connection, one epoll thread. usage: fwd rw|splice LISTEN_PORT BACKEND_PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
typedef struct side { int fd, pipe[2]; struct side *peer; size_t held; char *buf; size_t off; int out, eof, dead; } side;
static int ep, use_splice; static char *scratch;
#define CHUNK (1 << 20)  // the size of a chunk decides streams: 64 KiB costs twice as much
static void arm(side *s, int in, int out) {
  struct epoll_event e = {.events = (in ? EPOLLIN : 0) | (out ? EPOLLOUT : 0), .data.ptr = s};
  epoll_ctl(ep, EPOLL_CTL_MOD, s->fd, &e);
}
static side *mk(int fd) {
  side *s = calloc(1, sizeof *s); s->fd = fd; int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (use_splice) {
    if (pipe2(s->pipe, O_NONBLOCK | O_CLOEXEC)) { perror("pipe"); exit(1); }
    fcntl(s->pipe[0], F_SETPIPE_SZ, CHUNK);  // refused past the user's share of pipe memory: then it stays 64 KiB
  }
  return s;
}
static side *grave[4096]; static int ngrave;
static void kill_pair(side *a) {
  side *p[2] = {a, a->peer};
  if (a->dead) return;
  for (int i = 0; i < 2; i++) { p[i]->dead = 1; close(p[i]->fd); if (use_splice) { close(p[i]->pipe[0]); close(p[i]->pipe[1]); } if (ngrave < 4096) grave[ngrave++] = p[i]; }
}
// move from s to s->peer; returns -1 when the pair is finished
static int pump(side *s) {
  side *d = s->peer;
  for (int spins = 0; spins < 16; spins++) {
    ssize_t r;
    if (!s->held) {
      if (use_splice) r = splice(s->fd, 0, s->pipe[1], 0, CHUNK, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
      else r = recv(s->fd, scratch, CHUNK, 0);
      if (r == 0) return -1;
      if (r < 0) return errno == EAGAIN ? 0 : -1;
      s->held = r; s->off = 0;
    }
    size_t got = s->held; ssize_t w;
    if (use_splice) w = splice(s->pipe[0], 0, d->fd, 0, s->held, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    else w = send(d->fd, (s->buf ? s->buf + s->off : scratch), s->held, MSG_NOSIGNAL);
    if (w < 0 && errno != EAGAIN) return -1;
    if (w > 0) { s->held -= w; s->off += w; }
    if (s->held) {
      if (!use_splice && !s->buf) { s->buf = malloc(CHUNK); memcpy(s->buf, scratch + s->off, s->held); s->off = 0; }
      arm(s, 0, 0); arm(d, d->held == 0, 1); d->out = 1; return 0;
    }
    if (s->buf) { free(s->buf); s->buf = 0; }
    if (d->out) { d->out = 0; arm(s, 1, s->out); arm(d, d->held == 0, 0); }
    if (got < CHUNK / 2) return 0;  // drained: wait for the next event
  }
  return 0;
}
int main(int argc, char **argv) {
  if (argc < 4) return 2;
  use_splice = !strcmp(argv[1], "splice"); signal(SIGPIPE, SIG_IGN); scratch = malloc(CHUNK);
  ep = epoll_create1(EPOLL_CLOEXEC); int lf = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  setsockopt(lf, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))}, b = a;
  b.sin_port = htons(atoi(argv[3])); b.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(lf, (void *)&a, sizeof a) || listen(lf, 4096)) { perror("bind"); return 1; }
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = 0}, ev[512]; epoll_ctl(ep, EPOLL_CTL_ADD, lf, &e);
  for (;;) {
    int n = epoll_wait(ep, ev, 512, -1);
    for (int i = 0; i < n; i++) {
      side *s = ev[i].data.ptr;
      if (!s) {
        int fd; while ((fd = accept4(lf, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
          int up = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
          if (connect(up, (void *)&b, sizeof b) && errno != EINPROGRESS) { close(up); close(fd); continue; }
          side *x = mk(fd), *y = mk(up); x->peer = y; y->peer = x;
          struct epoll_event q = {.events = EPOLLIN, .data.ptr = x}; epoll_ctl(ep, EPOLL_CTL_ADD, fd, &q);
          q.data.ptr = y; epoll_ctl(ep, EPOLL_CTL_ADD, up, &q);
        }
        continue;
      }
      if (s->dead) continue;
      int bad = 0;
      if (ev[i].events & EPOLLOUT) bad = pump(s->peer);
      if (!bad && (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !s->held) bad = pump(s);
      if (bad) kill_pair(s);
    }
    while (ngrave) free(grave[--ngrave]);
  }
}
