#pragma once

/// BNQ_EXPORT marks what a shared build of bnq shows; everything else is hidden.
#if defined(BNQ_SHARED) && defined(_WIN32)
#if defined(BNQ_BUILDING)
#define BNQ_EXPORT __declspec(dllexport)
#else
#define BNQ_EXPORT __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define BNQ_EXPORT __attribute__((visibility("default")))
#else
#define BNQ_EXPORT
#endif
