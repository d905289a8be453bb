(function () {
  var wanted = null;
  try {
    wanted = localStorage.getItem("reba.scheme");
  } catch {
    /* storage may be forbidden */
  }
  // For this page only, as Grafana's addresses ask: a wall and a frame have their own.
  var asked = /[?&]theme=(dark|light)\b/.exec(location.search);
  if (asked) wanted = asked[1];
  var dark = wanted ? wanted === "dark" : !window.matchMedia("(prefers-color-scheme: light)").matches;
  document.documentElement.setAttribute("data-mantine-color-scheme", dark ? "dark" : "light");
})();
