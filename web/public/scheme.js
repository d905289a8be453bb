(function () {
  var wanted = null;
  try {
    wanted = localStorage.getItem("reba.scheme");
  } catch {
    /* storage may be forbidden */
  }
  var dark = wanted ? wanted === "dark" : !window.matchMedia("(prefers-color-scheme: light)").matches;
  document.documentElement.setAttribute("data-mantine-color-scheme", dark ? "dark" : "light");
})();
