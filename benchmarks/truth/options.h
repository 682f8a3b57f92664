/* The command line; truth.c says what each flag means. */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const char *log;
  long port, first_us, gap_us, tokens, spin_us, cpu, places, queue, nice, service_us, seed;
  int exponential;
} Options;

static void options_read(Options *o, int count, char **arguments) {
  *o = (Options){.first_us = 50000, .gap_us = 10000, .tokens = 100, .spin_us = 20, .cpu = -1, .queue = -1,
                 .service_us = 1000000, .seed = 1};
  struct { const char *flag; long *value; } numbers[] = {
      {"--port", &o->port}, {"--first-us", &o->first_us}, {"--gap-us", &o->gap_us}, {"--tokens", &o->tokens},
      {"--nice", &o->nice}, {"--spin-us", &o->spin_us}, {"--cpu", &o->cpu}, {"--places", &o->places}, {"--queue", &o->queue},
      {"--service-us", &o->service_us}, {"--seed", &o->seed}};
  for (int k = 1; k < count; k += 2) {
    const char *flag = arguments[k], *given = k + 1 < count ? arguments[k + 1] : "";
    char *rest = "";
    int known = 0;
    if (!strcmp(flag, "--log")) o->log = given, known = *given != 0;
    if (!strcmp(flag, "--service")) {
      o->exponential = !strcmp(given, "exponential");
      known = o->exponential || !strcmp(given, "fixed");
    }
    for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++)
      if (!strcmp(flag, numbers[n].flag) && *given) *numbers[n].value = strtol(given, &rest, 10), known = !*rest;
    if (!known) {
      fprintf(stderr, "truth: %s %s: no such flag or value; the head of truth.c lists them\n", flag, given);
      exit(2);
    }
  }
}
