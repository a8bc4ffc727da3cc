#pragma once

// The one place of the version: the build system reads it from here.
#define POLYAK_VERSION_MAJOR 0
#define POLYAK_VERSION_MINOR 2
#define POLYAK_VERSION_PATCH 0
