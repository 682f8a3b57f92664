/* The log: one record for each request, when it has ended; little-endian, as this machine's.
 *
 *   u32 mark 0x31555254 ("TRU1"), u32 n, u64 id, i64 received, i64 started, i64 ended, u32 status,
 *   u32 prompt tokens, then n times i64: when each token was handed to the socket
 *
 * Times are ns of CLOCK_MONOTONIC. id: the header X-Request-Id where it is a decimal number, else FNV-1a (64 bit)
 * of the body. started: when it got a place. status: 0 whole, 1 cut by the client, 2 refused (503).
 */
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include "connection.h"

typedef enum { WHOLE, CUT, REFUSED } Status;

typedef struct {
  uint32_t mark, tokens;
  uint64_t id;
  int64_t received, started, ended;
  uint32_t status, prompt_tokens;
} Head;

typedef struct { int fd; long records; Buffer buffer; } Log;

enum { LOG_FLUSH_BYTES = 1 << 20 };

static void log_open(Log *l, const char *path) {
  l->fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;
  if (path && l->fd < 0) {
    perror("truth: --log");
    exit(1);
  }
}

static void log_flush(Log *l) {
  for (size_t at = 0; at < l->buffer.length && l->fd >= 0;) {
    ssize_t written = write(l->fd, l->buffer.bytes + at, l->buffer.length - at);
    if (written < 0) {
      perror("truth: --log");
      exit(1);
    }
    at += written;
  }
  l->buffer.length = 0;
}

static void log_add(Log *l, const Connection *c, Status status, int64_t ended) {
  l->records++;
  if (l->fd < 0) return;
  Head head = {0x31555254, c->sent, c->request.id, c->received, c->started, ended, status, c->request.prompt_tokens};
  buffer_add(&l->buffer, (const char *)&head, sizeof head);
  buffer_add(&l->buffer, (const char *)c->times, c->sent * sizeof *c->times);
  if (l->buffer.length > LOG_FLUSH_BYTES) log_flush(l);
}
