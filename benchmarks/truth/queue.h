/* Requests that wait for a place, first come first served; any of them may leave. */
#pragma once
#include "connection.h"

typedef struct { Connection *first, *last; int length; } Queue;

static void queue_add(Queue *q, Connection *c) {
  c->before = q->last;
  c->after = NULL;
  if (q->last) q->last->after = c; else q->first = c;
  q->last = c;
  q->length++;
}

static void queue_remove(Queue *q, Connection *c) {
  if (c->before) c->before->after = c->after; else q->first = c->after;
  if (c->after) c->after->before = c->before; else q->last = c->before;
  q->length--;
}

static Connection *queue_pop(Queue *q) {
  Connection *c = q->first;
  if (c) queue_remove(q, c);
  return c;
}
