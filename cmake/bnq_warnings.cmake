# Settings for bnq's own targets. Arithmetic first: no contraction of a*b+c and no fast-math, so that a product has the
# same bits on every CPU (docs/schemes.rst).
function(bnq_target_settings target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON POSITION_INDEPENDENT_CODE ON)
  target_compile_options(${target} PRIVATE
    -ffp-contract=off -fno-fast-math -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow
    -Wnon-virtual-dtor -Wold-style-cast -Wundef
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>  # g++ 12 warns of "'" + text by mistake (GCC bug 105651)
    $<$<BOOL:${BNQ_WERROR}>:-Werror>)
  if(BNQ_SANITIZE)
    target_compile_options(${target} PUBLIC -fsanitize=${BNQ_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(${target} PUBLIC -fsanitize=${BNQ_SANITIZE})
  endif()
endfunction()
