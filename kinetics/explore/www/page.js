// Draws the figures that the server sends, keeps the zoom while sliders move, and saves a figure as the browser has it.
(() => {
  class FigureBinding extends Shiny.OutputBinding {
    find(scope) {
      return $(scope).find(".kinetics-figure");
    }
    async renderValue(el, data) {
      const drawing = el.querySelector(".kinetics-drawing");
      if (!data) {
        if (drawing.data) Plotly.purge(drawing);
        return;
      }
      const figure = JSON.parse(data.figure);
      figure.layout.uirevision = data.revision;
      drawing.style.height = `${figure.layout.height}px`;
      await Plotly.react(drawing, figure.data, figure.layout, data.config);
      el.dataset.drawn = Number(el.dataset.drawn || 0) + 1;
    }
    renderError(el, error) {
      el.querySelector(".kinetics-drawing").textContent = error.message;
    }
    resize(el) {
      const drawing = el.querySelector(".kinetics-drawing");
      if (drawing.data) Plotly.Plots.resize(drawing);
    }
  }
  Shiny.outputBindings.register(new FigureBinding(), "kinetics.figure");

  // A slider of doses holds the place of a dose in a list; it shows the dose.
  $(document).on("shiny:bound", (event) => {
    const list = event.target.closest && event.target.closest(".kinetics-doses");
    const slider = list && $(event.target).data("ionRangeSlider");
    if (!slider) return;
    const doses = JSON.parse(list.dataset.doses);
    slider.update({ prettify: (place) => doses[place], force_edges: true, hide_min_max: true });
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-save-figure]");
    if (!button) return;
    const drawing = document.querySelector(`#${button.dataset.saveFigure} .kinetics-drawing`);
    const size = { width: drawing.offsetWidth, height: drawing.offsetHeight };
    Plotly.downloadImage(drawing, { format: button.dataset.format, filename: button.dataset.name, scale: 2, ...size });
  });
})();
