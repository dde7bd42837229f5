# Tests that are not C programs: lints, scripts around the program, and cases whose whole output
# is compared with a file. Scripts skip with 77.

function(moe_script name)
  add_test(NAME ${name} COMMAND ${ARGN})
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
endfunction()

# Lints, over the source tree.
find_program(MOE_PYTHON NAMES python3)
if(MOE_PYTHON)
  foreach(lint includes names calls text)
    moe_script(lint/${lint} ${MOE_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/lint/${lint}.py
      ${PROJECT_SOURCE_DIR})
    set_tests_properties(lint/${lint} PROPERTIES LABELS lint)
  endforeach()
  moe_script(lint/headers ${MOE_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/lint/headers.py
    ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
  set_tests_properties(lint/headers PROPERTIES LABELS lint)
else()
  message(WARNING "python3 is absent: most lints are left out")
endif()
moe_script(lint/format sh ${CMAKE_CURRENT_SOURCE_DIR}/lint/format.sh ${PROJECT_SOURCE_DIR})
set_tests_properties(lint/format PROPERTIES LABELS lint)

if(NOT TARGET moesim)
  return()
endif()

moe_script(lint/readme_keys sh ${CMAKE_CURRENT_SOURCE_DIR}/in_folder.sh
  ${CMAKE_CURRENT_SOURCE_DIR}/lint/readme_keys.sh $<TARGET_FILE:moesim> ${PROJECT_SOURCE_DIR})
set_tests_properties(lint/readme_keys PROPERTIES LABELS lint)

# cli/<name>.sh PROGRAM SOURCE, each in a fresh folder.
file(GLOB scripts CONFIGURE_DEPENDS cli/*.sh)
foreach(script ${scripts})
  get_filename_component(name ${script} NAME_WE)
  moe_script(cli/${name} sh ${CMAKE_CURRENT_SOURCE_DIR}/in_folder.sh ${script}
    $<TARGET_FILE:moesim> ${PROJECT_SOURCE_DIR})
  set_tests_properties(cli/${name} PROPERTIES LABELS cli)
  if(name MATCHES "interrupt|resume") # their signals come at a time of the clock
    set_tests_properties(cli/${name} PROPERTIES RUN_SERIAL TRUE)
  endif()
endforeach()

# golden/<name>.yaml -> <name>.txt and bad/<name>.{yaml,sh} -> <name>.expected: exact texts.
function(moe_compared kind suffix)
  file(GLOB cases CONFIGURE_DEPENDS ${kind}/*.yaml ${kind}/*.sh)
  foreach(case ${cases})
    get_filename_component(name ${case} NAME_WE)
    moe_script(${kind}/${name} sh ${CMAKE_CURRENT_SOURCE_DIR}/in_folder.sh
      ${CMAKE_CURRENT_SOURCE_DIR}/compare.sh $<TARGET_FILE:moesim> ${PROJECT_SOURCE_DIR} ${case}
      ${CMAKE_CURRENT_SOURCE_DIR}/${kind}/${name}${suffix})
    set_tests_properties(${kind}/${name} PROPERTIES LABELS ${kind})
  endforeach()
endfunction()
moe_compared(golden .txt)
moe_compared(bad .expected)

# Everything that ships loads; the README says what the program says, and its commands run.
file(GLOB scripts CONFIGURE_DEPENDS shipped/*.sh)
foreach(script ${scripts})
  get_filename_component(name ${script} NAME_WE)
  moe_script(shipped/${name} sh ${CMAKE_CURRENT_SOURCE_DIR}/in_folder.sh ${script}
    $<TARGET_FILE:moesim> ${PROJECT_SOURCE_DIR})
  set_tests_properties(shipped/${name} PROPERTIES LABELS shipped)
endforeach()

# The execution core and the numbers stored for it against transformers; skips where it is absent.
moe_script(numerics/transformers sh ${CMAKE_CURRENT_SOURCE_DIR}/in_folder.sh
  ${CMAKE_CURRENT_SOURCE_DIR}/numerics/compare.sh $<TARGET_FILE:numerics_compare>
  ${PROJECT_SOURCE_DIR})

# The hook of transformers at work; skips where it is absent.
moe_script(hook/transformers sh ${CMAKE_CURRENT_SOURCE_DIR}/in_folder.sh
  ${CMAKE_CURRENT_SOURCE_DIR}/hook/transformers.sh $<TARGET_FILE:moesim> ${PROJECT_SOURCE_DIR})
set_tests_properties(hook/transformers PROPERTIES TIMEOUT 900)
