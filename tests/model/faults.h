/* faults.h - a disk that refuses: the program's own pwrite(), writev() and fdatasync() stand before the C library's, for all threads, and fail when they are told to. */
#pragma once

#include "history.h"

/* From the nth call (1: the next) on, `length` calls of that kind fail. FAULT_NONE: no more do. */
void faults_arm(enum fault_kind kind, unsigned nth, unsigned length);
unsigned faults_hit(void); /* how many calls have failed since they were armed */
