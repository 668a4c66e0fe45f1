// HTTP/1.1 GETs at a constant rate, whether or not answers come: an open loop. A request's time counts from
// the moment it was due, also while it waits for a free connection, so that a stall is seen by all who would
// have met it (no coordinated omission). One epoll thread; one JSON line on stdout.
// usage: openload PORT CONNECTIONS RATE SECONDS [HOST [PATH]]
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#define BODY 1024
typedef struct { int fd, busy, again; double due; size_t got, need; char in[8192]; } conn;

static int ep, query_len; static char query[1024]; static struct sockaddr_in at;
static conn *all; static int *idle, first, waiting, conns;  // idle: a ring, so that all connections take turns
static long done, errors, reopened, retried; static float *lat, *late; static long nlate;

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static int cmp(const void *a, const void *b) { float x = *(float *)a, y = *(float *)b; return (x > y) - (x < y); }
static float part(float *of, long n, double p) { return n ? of[(long)((n - 1) * p)] : 0; }
static int dial(conn *c) {
  int on = 1; c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0 || connect(c->fd, (void *)&at, sizeof at)) { if (c->fd >= 0) close(c->fd); c->fd = -1; return -1; }
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
  return epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
}
static void rest(conn *c) { c->busy = c->again = 0; idle[(first + waiting++) % conns] = c - all; }
static void failed(conn *c) { errors++; lat[done + errors - 1] = (now() - c->due) * 1e6; rest(c); }
static int ask(conn *c) {
  c->got = c->need = 0; c->busy = 1;
  return c->fd < 0 || send(c->fd, query, query_len, MSG_NOSIGNAL) != query_len ? -1 : 0;
}
// The peer closed: it may, between requests. A request on its way then is sent once more, as browsers do.
static void closed(conn *c) {
  int lost = c->busy && !c->got && !c->again, broken = c->busy && !lost;
  if (c->fd >= 0) close(c->fd);
  reopened++;
  int there = !dial(c);
  if (broken || (lost && !there)) { failed(c); return; }
  if (lost) { retried++; c->again = 1; if (ask(c)) failed(c); }
}
static void begin(double due) {
  conn *c = &all[idle[first]]; first = (first + 1) % conns; waiting--;
  c->due = due; if (ask(c)) closed(c);
}
static void readable(conn *c) {
  ssize_t r = recv(c->fd, c->in + c->got, sizeof c->in - 1 - c->got, 0);
  if (r < 0 && errno == EAGAIN) return;
  if (r <= 0 || !c->busy) { closed(c); return; }
  c->got += r; c->in[c->got] = 0;
  char *h = c->need ? 0 : strstr(c->in, "\r\n\r\n");
  if (h) c->need = h + 4 - c->in + BODY;
  if (!c->need || c->got < c->need) { if (c->got == sizeof c->in - 1) closed(c); return; }
  if (strncmp(c->in, "HTTP/1.1 200", 12) || c->got > c->need) { failed(c); return; }
  done++; lat[done + errors - 1] = (now() - c->due) * 1e6; rest(c);
}
int main(int argc, char **argv) {
  if (argc < 5) return 2;
  prctl(PR_SET_TIMERSLACK, 1);
  at.sin_family = AF_INET; at.sin_port = htons(atoi(argv[1])); at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  conns = atoi(argv[2]); double rate = atof(argv[3]), secs = atof(argv[4]); if (secs > 10) secs = 10;
  query_len = snprintf(query, sizeof query, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", argc > 6 ? argv[6] : "/", argc > 5 ? argv[5] : "bench.test");
  long total = rate * secs, started = 0;
  if (conns < 1 || total < 1 || query_len >= (int)sizeof query) return 2;
  ep = epoll_create1(0); all = calloc(conns, sizeof *all); idle = calloc(conns, sizeof *idle);
  lat = malloc((total + 1) * sizeof *lat); late = malloc((total + 1) * sizeof *late);
  for (int i = 0; i < conns; i++) { if (dial(&all[i])) { fprintf(stderr, "openload: cannot connect: %s\n", strerror(errno)); return 1; } rest(&all[i]); }
  double t0 = now() + 0.01, over = t0 + secs + 2; int ready = waiting; struct epoll_event ev[256];
  while (done + errors < total) {
    double t = now(); if (t > over) break;
    while (started < total && waiting && t0 + started / rate <= t) {
      if (ready-- > 0) late[nlate++] = (t - t0 - started / rate) * 1e6;  // ours: a connection was free when it was due
      begin(t0 + started++ / rate);
    }
    ready = waiting;
    double wait = started < total && waiting ? t0 + started / rate - now() : 0.01;
    struct timespec ts = {0, wait <= 0 ? 0 : wait > 0.01 ? 10000000 : (long)(wait * 1e9)};
    int k = epoll_pwait2(ep, ev, 256, &ts, 0);
    for (int j = 0; j < k; j++) readable(ev[j].data.ptr);
  }
  double el = now() - t0; long n = done + errors, lost = total - n;
  for (long i = 0, left = lost; i < conns && left; i++) if (all[i].busy) { lat[n++] = (now() - all[i].due) * 1e6; left--; }
  for (long k = started; k < total; k++) lat[n++] = (now() - t0 - k / rate) * 1e6;  // due, and never sent
  qsort(lat, n, sizeof *lat, cmp); qsort(late, nlate, sizeof *late, cmp);
  printf("{\"requests\": %ld, \"seconds\": %.4f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f, \"late_p99_us\": %.1f, \"errors\": %ld, \"reopened\": %ld, \"retried\": %ld}\n",
    done, el, part(lat, n, .5), part(lat, n, .99), part(lat, n, .999), part(lat, n, 1), part(late, nlate, .99), errors + lost, reopened, retried);
  return 0;
}
