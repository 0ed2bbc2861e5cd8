// The generated skeletons (bpftool writes C).  Included by loader.cc alone.
#pragma once
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "dispatch.skel.h"
#include "guard.skel.h"
#include "steer.skel.h"
#pragma GCC diagnostic pop
