/* When each request's next token is due: a binary heap, and the plan of one request. */
#pragma once
#include <math.h>

#include "connection.h"
#include "options.h"

typedef struct { Connection **heap; int length, room; } Schedule;

static void schedule_place(Schedule *s, Connection *c, int at) {
  s->heap[at] = c;
  c->heap_at = at;
}

static void schedule_up(Schedule *s, Connection *c, int at) {
  for (int parent; at > 0 && s->heap[parent = (at - 1) / 2]->due > c->due; at = parent)
    schedule_place(s, s->heap[parent], at);
  schedule_place(s, c, at);
}

static void schedule_down(Schedule *s, Connection *c, int at) {
  for (int child; (child = 2 * at + 1) < s->length; at = child) {
    if (child + 1 < s->length && s->heap[child + 1]->due < s->heap[child]->due) child++;
    if (s->heap[child]->due >= c->due) break;
    schedule_place(s, s->heap[child], at);
  }
  schedule_place(s, c, at);
}

static void schedule_add(Schedule *s, Connection *c, int64_t due) {
  if (s->length == s->room) {
    s->room = s->room ? 2 * s->room : 1024;
    s->heap = realloc(s->heap, s->room * sizeof *s->heap);
  }
  c->due = due;
  schedule_up(s, c, s->length++);
}

/* `due` of one that is in the heap has become later. */
static void schedule_update(Schedule *s, Connection *c) { schedule_down(s, c, c->heap_at); }

static void schedule_remove(Schedule *s, Connection *c) {
  int at = c->heap_at;
  if (at < 0) return;
  c->heap_at = -1;
  Connection *last = s->heap[--s->length];
  if (last == c) return;
  if (at > 0 && s->heap[(at - 1) / 2]->due > last->due) schedule_up(s, last, at);
  else schedule_down(s, last, at);
}

static Connection *schedule_first(Schedule *s) { return s->length ? s->heap[0] : NULL; }

static uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* Uniform in (0, 1]: splitmix64. The seed is mixed first: neighbours would be one stream, shifted by a draw. */
static double uniform(uint64_t seed) {
  static uint64_t state;
  static int seeded;
  if (!seeded) state = mixed(seed + 0x9e3779b97f4a7c15u), seeded = 1;
  return ((mixed(state += 0x9e3779b97f4a7c15u) >> 11) + 1) * 0x1p-53;
}

/* Settle when the tokens of a request that starts now are due. */
static void plan(Connection *c, const Options *o) {
  Request *r = &c->request;
  if (!r->tokens) r->tokens = o->tokens;
  c->first_ns = 1000 * (r->first_us >= 0 ? r->first_us : o->first_us);
  c->gap_ns = 1000 * (r->gap_us >= 0 ? r->gap_us : o->gap_us);
  if (o->exponential) {
    int64_t held = -log(uniform(o->seed)) * o->service_us * 1000;
    if (c->first_ns > held || r->tokens == 1) c->first_ns = r->tokens == 1 ? held : c->first_ns;
    if (c->first_ns > held) c->first_ns = held;
    c->gap_ns = r->tokens > 1 ? (held - c->first_ns) / (r->tokens - 1) : 0;
  }
  c->due = c->started + c->first_ns;
}
