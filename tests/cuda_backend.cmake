# The CUDA backend behind the decoder: each cuda_backend/<name>_test.c runs on the emulated device
# (test cuda/backend_<name>), and on a real one (test gpu/backend_<name>, label gpu), where it skips
# with the reason if there is none.
file(GLOB sources CONFIGURE_DEPENDS cuda_backend/*_test.c)
if(NOT CUNIT_FOUND)
  set(sources "")
endif()
set(quick 1)
if(MOE_SANITIZE)
  set(quick few)
endif()
foreach(source ${sources})
  get_filename_component(name ${source} NAME_WE)
  string(REPLACE "_test" "" test ${name})
  moe_program(cuda_backend_${name} ${source} ${numerics})
  target_link_libraries(cuda_backend_${name} PRIVATE PkgConfig::CUNIT)
  if(TARGET moesim_cuda_emulated)
    add_test(NAME cuda/backend_${test} COMMAND cuda_backend_${name})
    set_tests_properties(cuda/backend_${test} PROPERTIES TIMEOUT 600 ENVIRONMENT
      "MOE_TEST_DEVICE=1;MOE_TEST_QUICK=${quick};MOESIM_CUDA_LIB=$<TARGET_FILE:moesim_cuda_emulated>")
    add_dependencies(cuda_backend_${name} moesim_cuda_emulated)
  endif()
  if(TARGET moesim_cuda)
    add_test(NAME gpu/backend_${test} COMMAND cuda_backend_${name})
    set_tests_properties(gpu/backend_${test} PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77 LABELS gpu
      ENVIRONMENT "MOESIM_CUDA_LIB=$<TARGET_FILE:moesim_cuda>")
    add_dependencies(cuda_backend_${name} moesim_cuda)
  endif()
endforeach()
