# Kernels. Each cuda/<name>_test.cu is a program that is compiled for the host (test cuda/<name>, see
# cuda_emulation/emulation.h) and by nvcc (test gpu/<name>, label gpu; it skips where there is no
# device). libmoesim_cuda_emulated.so is the CUDA backend compiled for the host.
file(GLOB cuda_tests CONFIGURE_DEPENDS cuda/*_test.cu)
file(GLOB gpu_bench CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/bench/gpu/*.cu)

# The project's router, alone: programs for a device must not want what such a machine may lack.
add_library(moe_cuda_reference OBJECT cuda/reference.c ${PROJECT_SOURCE_DIR}/profiler/router.c)
target_link_libraries(moe_cuda_reference PRIVATE moe_flags)

if(CMAKE_CXX_COMPILER AND NOT MOE_SANITIZE MATCHES "thread|fuzzer")
  add_library(moe_emulated_flags INTERFACE)
  target_include_directories(moe_emulated_flags BEFORE INTERFACE
    ${CMAKE_CURRENT_SOURCE_DIR}/cuda_emulation ${PROJECT_SOURCE_DIR})
  # -O2 whatever the preset: a thread of a block costs enough as it is.
  target_compile_options(moe_emulated_flags INTERFACE ${MOE_CUDA_WARNINGS} -Werror -Wno-psabi
    -ffp-contract=off -O2 -g -UNDEBUG)
  target_compile_features(moe_emulated_flags INTERFACE cxx_std_17)
  if(MOE_SANITIZE)
    target_compile_options(moe_emulated_flags INTERFACE -fsanitize=${MOE_SANITIZE})
    target_link_options(moe_emulated_flags INTERFACE -fsanitize=${MOE_SANITIZE})
  endif()
  target_link_libraries(moe_emulated_flags INTERFACE Threads::Threads ${CMAKE_DL_LIBS})

  file(GLOB emulation CONFIGURE_DEPENDS cuda_emulation/*.cc)
  set_source_files_properties(${MOE_CUDA_SOURCES} ${cuda_tests} ${gpu_bench} cuda_emulation/emulation_test.cu
    PROPERTIES LANGUAGE CXX)
  add_library(moe_emulation OBJECT ${emulation})
  target_link_libraries(moe_emulation PUBLIC moe_emulated_flags)
  set_target_properties(moe_emulation PROPERTIES POSITION_INDEPENDENT_CODE ON)

  add_executable(cuda_emulation_test cuda_emulation/emulation_test.cu)
  target_link_libraries(cuda_emulation_test PRIVATE moe_emulation)
  add_test(NAME cuda/emulation COMMAND cuda_emulation_test)
  add_test(NAME cuda/emulation_backward COMMAND cuda_emulation_test)
  set_tests_properties(cuda/emulation_backward PROPERTIES ENVIRONMENT MOE_EMULATED_ORDER=backward)

  if(MOE_CUDA_SOURCES)
    add_library(moe_cuda_emulated OBJECT ${MOE_CUDA_SOURCES})
    target_link_libraries(moe_cuda_emulated PUBLIC moe_emulated_flags)
    set_target_properties(moe_cuda_emulated PROPERTIES POSITION_INDEPENDENT_CODE ON)
    add_library(moesim_cuda_emulated SHARED $<TARGET_OBJECTS:moe_cuda_emulated>)
    set_target_properties(moesim_cuda_emulated PROPERTIES LINKER_LANGUAGE CXX)
    target_link_libraries(moesim_cuda_emulated PRIVATE moe_emulation)
    foreach(source ${cuda_tests})
      get_filename_component(name ${source} NAME_WE)
      add_executable(emulated_${name} ${source})
      target_link_libraries(emulated_${name} PRIVATE moe_cuda_emulated moe_emulation)
      if(name STREQUAL "route_test")
        target_link_libraries(emulated_${name} PRIVATE moe_cuda_reference)
      endif()
      string(REPLACE "_test" "" test ${name})
      add_test(NAME cuda/${test} COMMAND emulated_${name})
      add_test(NAME cuda/${test}_backward COMMAND emulated_${name})
      set_tests_properties(cuda/${test}_backward PROPERTIES
        ENVIRONMENT MOE_EMULATED_ORDER=backward)
      set_tests_properties(cuda/${test} cuda/${test}_backward PROPERTIES SKIP_RETURN_CODE 77
        TIMEOUT 300)
    endforeach()
    # Once more as on sm_90a, for what multiplies otherwise there.
    foreach(test multiply experts)
      add_test(NAME cuda/${test}_sm90a COMMAND emulated_${test}_test)
      set_tests_properties(cuda/${test}_sm90a PROPERTIES TIMEOUT 300
        ENVIRONMENT MOE_EMULATED_WGMMA=1)
    endforeach()
  endif()
endif()

# moesim_gpu_bench: what the device takes (bench/gpu/bench.cuh). Compiled for the host too, where its
# rows are checked, not its times.
if(TARGET moe_cuda_emulated AND EXISTS ${PROJECT_SOURCE_DIR}/profiler/cuda/attention.cu)
  add_executable(gpu_bench_emulated ${gpu_bench})
  target_link_libraries(gpu_bench_emulated PRIVATE moe_cuda_emulated moe_emulation)
endif()

if(TARGET moe_cuda_objects AND cuda_tests AND NOT MOE_SANITIZE)
  # Compiled in a folder of their own, where these sources are CUDA.
  add_subdirectory(cuda)
  if(EXISTS ${PROJECT_SOURCE_DIR}/profiler/cuda/attention.cu)
    add_subdirectory(bench/gpu)
  endif()
endif()
