# What others wrote: found on the machine first, fetched where there is internet otherwise.
include(FetchContent)

FetchContent_Declare(nlohmann_json
  GIT_REPOSITORY https://github.com/nlohmann/json GIT_TAG v3.11.3 GIT_SHALLOW ON
  FIND_PACKAGE_ARGS 3.11)
FetchContent_MakeAvailable(nlohmann_json)

# One header, used inline. It is copied to a folder of its own: where it stands there are headers of this machine, which a
# cross compiler may not see.
find_file(BNQ_XXHASH_HEADER xxhash.h NO_CMAKE_FIND_ROOT_PATH)
if(NOT BNQ_XXHASH_HEADER)
  FetchContent_Declare(xxhash
    GIT_REPOSITORY https://github.com/Cyan4973/xxHash GIT_TAG v0.8.2 GIT_SHALLOW ON SOURCE_SUBDIR none)
  FetchContent_MakeAvailable(xxhash)
  set(BNQ_XXHASH_HEADER ${xxhash_SOURCE_DIR}/xxhash.h CACHE FILEPATH "xxhash.h" FORCE)
endif()
configure_file(${BNQ_XXHASH_HEADER} ${PROJECT_BINARY_DIR}/xxhash/xxhash.h COPYONLY)

if(BNQ_BUILD_CLI)
  FetchContent_Declare(CLI11
    GIT_REPOSITORY https://github.com/CLIUtils/CLI11 GIT_TAG v2.4.2 GIT_SHALLOW ON
    FIND_PACKAGE_ARGS 2.1)
  FetchContent_MakeAvailable(CLI11)
endif()

if(BNQ_BUILD_TESTS)
  set(INSTALL_GTEST OFF)
  FetchContent_Declare(GTest
    GIT_REPOSITORY https://github.com/google/googletest GIT_TAG v1.14.0 GIT_SHALLOW ON
    FIND_PACKAGE_ARGS 1.12 NAMES GTest)
  FetchContent_MakeAvailable(GTest)
endif()

if(BNQ_BUILD_BENCHMARKS)
  set(BENCHMARK_ENABLE_TESTING OFF)
  FetchContent_Declare(benchmark
    GIT_REPOSITORY https://github.com/google/benchmark GIT_TAG v1.7.1 GIT_SHALLOW ON
    FIND_PACKAGE_ARGS 1.6)
  FetchContent_MakeAvailable(benchmark)
endif()

find_package(Threads REQUIRED)
