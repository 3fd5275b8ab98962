# A folder of kernels for one instruction set: its sources, and the flags that only they get (src/kernels/cpu.cpp asks the
# CPU for the same). Sealed: no file of it may give the linker code that others could reach (tools/check_seal.py).
function(bnq_kernel_folder target isa)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "FLAGS;SOURCES")
  list(TRANSFORM arg_SOURCES PREPEND kernels/${isa}/)
  target_sources(${target} PRIVATE ${arg_SOURCES})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND arg_FLAGS -Wno-uninitialized -Wno-maybe-uninitialized)  # g++ 12's own intrinsics (GCC bug 105593)
  endif()
  set_source_files_properties(${arg_SOURCES} PROPERTIES COMPILE_OPTIONS "${arg_FLAGS};-fno-exceptions;-fno-rtti")
endfunction()
