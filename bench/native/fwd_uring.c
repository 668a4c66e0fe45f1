// The floor on io_uring: as fwd.c, with recv -> send pairs submitted in one
// io_uring_enter per turn (DEFER_TASKRUN, SINGLE_ISSUER). usage: fwd_uring LISTEN_PORT BACKEND_PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#define CHUNK (1 << 20)  // as in fwd.c; memory is taken only as far as it is written to
typedef struct side { int fd, sending, pend, closed; struct side *peer; char *buf; size_t off, len; } side;
static struct io_uring ring; static struct sockaddr_in to;
enum { T_RECV = 0, T_SEND = 1, T_CONN = 2 };
static struct io_uring_sqe *sqe(void) { struct io_uring_sqe *q; while (!(q = io_uring_get_sqe(&ring))) io_uring_submit(&ring); return q; }
static void rd(side *s) { struct io_uring_sqe *q = sqe(); io_uring_prep_recv(q, s->fd, s->buf, CHUNK, 0); io_uring_sqe_set_data64(q, (uint64_t)s | T_RECV); s->pend++; }
static void wr(side *s) { struct io_uring_sqe *q = sqe(); io_uring_prep_send(q, s->peer->fd, s->buf + s->off, s->len - s->off, MSG_NOSIGNAL); io_uring_sqe_set_data64(q, (uint64_t)s | T_SEND); s->pend++; }
static void finish(side *s) {
  side *p = s->peer;
  if (!s->closed) { s->closed = p->closed = 1; shutdown(s->fd, SHUT_RDWR); shutdown(p->fd, SHUT_RDWR); }
  if (!s->pend && !p->pend) { close(s->fd); close(p->fd); free(s->buf); free(p->buf); free(s); free(p); }
}
int main(int argc, char **argv) {
  if (argc < 3) return 2;
  signal(SIGPIPE, SIG_IGN);
  struct io_uring_params prm = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE, .cq_entries = 16384};
  if (io_uring_queue_init_params(4096, &ring, &prm)) { fprintf(stderr, "io_uring not there\n"); return 1; }
  int lf = socket(AF_INET, SOCK_STREAM, 0), on = 1; setsockopt(lf, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))}; to = a;
  to.sin_port = htons(atoi(argv[2])); to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(lf, (void *)&a, sizeof a) || listen(lf, 4096)) { perror("bind"); return 1; }
  struct io_uring_sqe *q = sqe(); io_uring_prep_multishot_accept(q, lf, 0, 0, 0); io_uring_sqe_set_data64(q, 0);
  for (;;) {
    int r = io_uring_submit_and_wait(&ring, 1); if (r < 0 && r != -EINTR) { fprintf(stderr, "enter %d\n", r); return 1; }
    struct io_uring_cqe *c; unsigned head, seen = 0;
    io_uring_for_each_cqe(&ring, head, c) {
      seen++; uint64_t d = c->user_data; side *s = (side *)(d & ~7ull); int t = d & 7;
      if (!s) {
        if (!(c->flags & IORING_CQE_F_MORE)) { q = sqe(); io_uring_prep_multishot_accept(q, lf, 0, 0, 0); io_uring_sqe_set_data64(q, 0); }
        if (c->res < 0) continue;
        side *x = calloc(1, sizeof *x), *y = calloc(1, sizeof *y); x->fd = c->res; y->fd = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(x->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); setsockopt(y->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        x->peer = y; y->peer = x; x->buf = malloc(CHUNK); y->buf = malloc(CHUNK);
        q = sqe(); io_uring_prep_connect(q, y->fd, (void *)&to, sizeof to); io_uring_sqe_set_data64(q, (uint64_t)x | T_CONN); x->pend++;
        continue;
      }
      s->pend--;
      if (s->closed) { finish(s); continue; }
      if (t == T_CONN) { if (c->res < 0) finish(s); else { rd(s); rd(s->peer); } }
      else if (t == T_RECV) { if (c->res <= 0) finish(s); else { s->off = 0; s->len = c->res; wr(s); } }
      else { if (c->res <= 0) finish(s); else { s->off += c->res; if (s->off < s->len) wr(s); else rd(s); } }
    }
    io_uring_cq_advance(&ring, seen);
  }
}
