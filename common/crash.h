#ifndef COMMON_CRASH_H
#define COMMON_CRASH_H

/*
 * Crash points for the fault harness: places between two steps where a kill -9 would be most interesting. Compiled only
 * with CONTACTHUB_CRASH_POINTS; then the process kills itself at a point with the odds that CONTACTHUB_CRASH_ODDS gives
 * (one in N visits, far fewer until it is hit for the first time; 0 = never) and appends the point's name to the file
 * CONTACTHUB_CRASH_LOG first, so that the harness can tell which windows were hit.
 */
#ifdef CONTACTHUB_CRASH_POINTS
void crash_point(const char *name);
#define CRASH_POINT(name) crash_point(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

#endif
