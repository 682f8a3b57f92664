/* A completion server that is the truth: tokens leave at stated times, and a log says when each really left.
 *
 * POST /v1/completions and /v1/chat/completions, streamed (chunked, kept connections) or whole. A request for
 * n tokens gets its first one first_us after its start and the others gap_us apart; max_tokens (or
 * max_completion_tokens) of the body says how many. One thread, epoll, times of CLOCK_MONOTONIC.
 *
 *   --port N            0 (the default) takes a free one; the first line of stdout is "listening PORT"
 *   --log FILE          what was really sent, see record.h; none without it
 *   --first-us N        from a request's start to its first token (50000)
 *   --gap-us N          between its tokens (10000)
 *   --tokens N          where the body does not say (100)
 *   --spin-us N         the last stretch before a token is due is spent awake (20); 0 sleeps all of it
 *   --cpu N             pin the server to this core
 *   --nice N            its priority (0): below 0, where that is allowed, it is on time beside a busy client
 *  A capacity, for searches of the highest rate:
 *   --places K          requests served at a time; others wait, first come first served (0: no limit)
 *   --queue Q           requests that may wait; more are answered 503 (-1: no limit)
 *   --service fixed     a place is held for first_us + (n - 1) gap_us: the capacity is K / that (default)
 *   --service exponential   a place is held for a draw of mean --service-us, whatever n is (a first token after
 *                       min(first_us, draw), the rest evenly until the draw's end): an M/M/K queue under
 *                       Poisson arrivals, whose TTFT is the wait for a place plus the first token
 *   --service-us N      that mean (1000000)
 *   --seed N            of the draws (1)
 *
 * One request's times can be set in its path: /v1/completions?first_us=5000&gap_us=100&tokens=8
 * GET /truth/flush writes the log out and answers with the number of its records; /health, /v1/models and
 * /metrics (vLLM's names) answer as an engine does. SIGTERM, or the end of who started it, ends the server.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "answer.h"
#include "connection.h"
#include "options.h"
#include "queue.h"
#include "record.h"
#include "request.h"
#include "schedule.h"

enum { EVENTS = 256, SENDS_BETWEEN_READS = 32 };

static volatile sig_atomic_t ended;
static Options options;
static Schedule schedule;
static Queue waiting;
static Log record_log;
static int epoll, serving;

static void stop(int signal) { ended = signal; }

static void watch(Connection *c, int writable) {
  struct epoll_event event = {.events = EPOLLIN | (writable ? EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
}

/* Hand bytes to the socket; what it does not take is kept until it does. */
static void put(Connection *c, const char *bytes, size_t length) {
  if (c->out.length == 0) {
    ssize_t taken = send(c->fd, bytes, length, MSG_NOSIGNAL);
    if (taken < 0) taken = 0; /* full: later; broken: the next read says so */
    if ((size_t)taken == length) return;
    bytes += taken, length -= taken;
    watch(c, 1);
  }
  buffer_add(&c->out, bytes, length);
}

static void put_rest(Connection *c) {
  ssize_t taken = send(c->fd, c->out.bytes, c->out.length, MSG_NOSIGNAL);
  if (taken > 0) buffer_drop(&c->out, taken);
  if (c->out.length == 0) watch(c, 0);
}

static void serve(Connection *c, int64_t from);

/* A place is free since `free_ns`. */
static void next_waiting(int64_t free_ns) {
  Connection *next = queue_pop(&waiting);
  if (next) serve(next, free_ns > next->received ? free_ns : next->received);
}

/* The request is over, one way or another: log it and hand its place on. */
static void finish(Connection *c, Status status) {
  int held = c->state == SERVING;
  int64_t now = now_ns();
  if (c->state == WAITING) queue_remove(&waiting, c);
  schedule_remove(&schedule, c);
  log_add(&record_log, c, status, now);
  c->state = IDLE;
  if (held) {
    serving--;
    /* when it was due, not when this process came to it: being late must not cost capacity */
    next_waiting(status == WHOLE ? c->due : now);
  }
}

static void serve(Connection *c, int64_t from) {
  serving++;
  c->state = SERVING;
  c->started = from;
  plan(c, &options);
  schedule_add(&schedule, c, c->request.stream ? c->due : c->started + c->first_ns + c->gap_ns * (c->request.tokens - 1));
}

/* One token, or with the last one the whole end of the answer, in one write. */
static void send_due(Connection *c) {
  char text[ANSWER_LONGEST];
  if (!c->request.stream) {
    size_t length = whole_answer(c, text);
    log_time(c, now_ns());
    put(c, text, length);
    finish(c, WHOLE);
    return;
  }
  int last = c->sent + 1 == c->request.tokens;
  size_t length = 0;
  if (c->sent == 0) length = head_of_stream(text);
  length += token_event(c, text + length);
  if (last) length += end_of_stream(c, text + length);
  int64_t at = now_ns(); /* before the write: the reader may have it before the write returns */
  log_time(c, at);
  put(c, text, length);
  if (last) {
    finish(c, WHOLE);
  } else {
    c->due = c->started + c->first_ns + c->gap_ns * c->sent;
    schedule_update(&schedule, c);
  }
}

static void gone(Connection *c) {
  if (c->state != IDLE) finish(c, CUT);
  close(c->fd);
  connection_free(c);
}

static void other_page(Connection *c, const char *path) {
  char body[512] = "", text[ANSWER_LONGEST];
  int status = 200;
  if (!strncmp(path, "/truth/flush", 12)) {
    log_flush(&record_log);
    snprintf(body, sizeof body, "{\"requests\":%ld}", record_log.records);
  } else if (!strncmp(path, "/v1/models", 10)) {
    snprintf(body, sizeof body, "{\"object\":\"list\",\"data\":[{\"id\":\"truth\",\"object\":\"model\","
                                "\"created\":1700000000,\"owned_by\":\"truth\",\"max_model_len\":131072}]}");
  } else if (!strncmp(path, "/metrics", 8)) {
    snprintf(body, sizeof body,
             "vllm:num_requests_running{model_name=\"truth\"} %d\n"
             "vllm:num_requests_waiting{model_name=\"truth\"} %d\n", serving, waiting.length);
  } else if (strncmp(path, "/health", 7)) {
    status = 404;
  }
  put(c, text, page(text, status, body));
}

/* Take the requests that have arrived whole; one at a time is answered, the next waits in the buffer. */
static void take_requests(Connection *c, int64_t received) {
  while (c->state == IDLE) {
    size_t length = request_read(&c->in, &c->request);
    if (!length) return;
    if (!c->request.completion) {
      char path[64];
      snprintf(path, sizeof path, "%s", c->request.path);
      buffer_drop(&c->in, length);
      other_page(c, path);
      continue;
    }
    buffer_drop(&c->in, length);
    connection_begin(c, received);
    if (!options.places || serving < options.places) {
      serve(c, now_ns());
    } else if (options.queue >= 0 && waiting.length >= options.queue) {
      char text[ANSWER_LONGEST];
      put(c, text, page(text, 503, "{\"error\":{\"message\":\"the queue is full\",\"code\":503}}"));
      c->state = WAITING_NOWHERE;
      finish(c, REFUSED);
    } else {
      c->state = WAITING;
      queue_add(&waiting, c);
    }
  }
}

static void readable(Connection *c) {
  for (;;) {
    ssize_t length = recv(c->fd, buffer_room(&c->in, 16384), 16384, 0);
    if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR)) {
      gone(c);
      return;
    }
    if (length < 0) break;
    c->in.length += length;
    if (length < 16384) break;
  }
  take_requests(c, now_ns());
}

static void accept_all(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    Connection *c = connection_new(fd);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
}

/* Wait for reads until the next token is due, less the stretch that is spent awake. */
static int wait_for_events(struct epoll_event *events) {
  struct timespec rest = {0, 0}, *timeout = &rest;
  Connection *next = schedule_first(&schedule);
  if (next) {
    int64_t left = next->due - now_ns() - options.spin_us * 1000;
    if (left > 0) rest = (struct timespec){left / 1000000000, left % 1000000000};
  } else {
    log_flush(&record_log); /* at rest */
    timeout = NULL;
  }
  return epoll_pwait2(epoll, events, EVENTS, timeout, NULL);
}

static void run(int listener) {
  struct epoll_event events[EVENTS];
  while (!ended) {
    int count = wait_for_events(events);
    for (int k = 0; k < count; k++) {
      Connection *c = events[k].data.ptr;
      if (!c) {
        accept_all(listener);
        continue;
      }
      if (events[k].events & EPOLLOUT) put_rest(c);
      if (events[k].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
    }
    Connection *c;
    for (int k = 0; k < SENDS_BETWEEN_READS && (c = schedule_first(&schedule)) && c->due <= now_ns(); k++) {
      send_due(c);
      if (c->state == IDLE) take_requests(c, now_ns());
    }
  }
}

static int listen_on(int port) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  if (bind(listener, (void *)&at, size) || listen(listener, 8192) || getsockname(listener, (void *)&at, &size)) {
    perror("truth: listen");
    exit(1);
  }
  printf("listening %d\n", ntohs(at.sin_port));
  fflush(stdout);
  return listener;
}

static void prepare_process(void) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  prctl(PR_SET_TIMERSLACK, 1);
  signal(SIGTERM, stop);
  signal(SIGINT, stop);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (options.nice) setpriority(PRIO_PROCESS, 0, options.nice); /* not allowed: it stays as it is */
  if (options.cpu >= 0) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(options.cpu, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus)) perror("truth: --cpu");
  }
}

int main(int count, char **arguments) {
  options_read(&options, count, arguments);
  prepare_process();
  log_open(&record_log, options.log);
  epoll = epoll_create1(0);
  int listener = listen_on(options.port);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  run(listener);
  log_flush(&record_log);
  return 0;
}
